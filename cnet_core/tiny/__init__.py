"""The embedded tiny Stable Diffusion: trained weights, text, data, samplers, and the recipes that made it."""

from .model import TinyStableDiffusion

__all__ = ["TinyStableDiffusion"]
