"""The embedded tiny Stable Diffusion: trained weights, its world of glossy things, its text and its measures."""

from .model import TinyStableDiffusion

__all__ = ["TinyStableDiffusion"]
