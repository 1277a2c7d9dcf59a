"""ControlNet for any Stable Diffusion UNet: load, route, schedule, inject."""

from .checkpoints import Fingerprint, identify, load_controlnet, save_controlnet
from .config import SD15, SD21, SDXL, UNetConfig
from .control import ControlStack, ControlUnit, UNetCall
from .controlnet import ControlNet
from .hints import fit_hint, hint_from_image
from .patching import Attachment, patch_unet
from .residuals import Residuals
from .routing import HintRouting
from .schedules import BlockScales
from .unet import UNet
from .union import UnionControlNet

__version__ = "0.1.0"

__all__ = [
    "SD15",
    "SD21",
    "SDXL",
    "Attachment",
    "BlockScales",
    "ControlNet",
    "ControlStack",
    "ControlUnit",
    "Fingerprint",
    "HintRouting",
    "Residuals",
    "UNet",
    "UNetCall",
    "UNetConfig",
    "UnionControlNet",
    "fit_hint",
    "hint_from_image",
    "identify",
    "load_controlnet",
    "patch_unet",
    "save_controlnet",
]
