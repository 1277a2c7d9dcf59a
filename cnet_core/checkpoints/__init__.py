"""ControlNet files: reading and writing."""

from .ldm import load_controlnet, save_controlnet

__all__ = ["load_controlnet", "save_controlnet"]
