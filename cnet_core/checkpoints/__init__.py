"""ControlNet files: identifies, reads and writes them."""

from .base_errors import BaseError, MissingBase
from .fingerprint import Fingerprint, identify
from .load import load_controlnet
from .save import save_controlnet

__all__ = [
    "BaseError",
    "Fingerprint",
    "MissingBase",
    "identify",
    "load_controlnet",
    "save_controlnet",
]
