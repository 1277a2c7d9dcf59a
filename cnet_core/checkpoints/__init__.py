"""ControlNet files: what they are, reading and writing."""

from .fingerprint import Fingerprint, identify
from .load import load_controlnet
from .save import save_controlnet

__all__ = ["Fingerprint", "identify", "load_controlnet", "save_controlnet"]
