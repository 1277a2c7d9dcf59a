"""ControlNet for any Stable Diffusion UNet: load, route, schedule, inject."""

from . import xray
from .block_control import BlockControl, control_blocks
from .checkpoints import Fingerprint, identify, load_controlnet, save_controlnet
from .config import SD15, SD21, SDXL, UNetConfig
from .control import ControlStack, ControlUnit, UNetCall
from .control_block import ControlBlock
from .controlnet import ControlNet
from .hints import fit_hint, hint_from_image
from .patching import (
    Attachment,
    UNetAdapter,
    attachments,
    control_pipeline,
    patch_unet,
    register_adapter,
)
from .profiles import PROFILE_NAMES, Profile, profile
from .residuals import Residuals
from .routing import HintRouting
from .rows import Row
from .schedules import BlockScales
from .unet import UNet
from .union import UnionControlNet
from .windows import Window

__version__ = "0.1.0"

__all__ = [
    "PROFILE_NAMES",
    "SD15",
    "SD21",
    "SDXL",
    "Attachment",
    "BlockControl",
    "BlockScales",
    "ControlBlock",
    "ControlNet",
    "ControlStack",
    "ControlUnit",
    "Fingerprint",
    "HintRouting",
    "Profile",
    "Residuals",
    "Row",
    "UNet",
    "UNetAdapter",
    "UNetCall",
    "UNetConfig",
    "UnionControlNet",
    "Window",
    "attachments",
    "control_blocks",
    "control_pipeline",
    "fit_hint",
    "hint_from_image",
    "identify",
    "load_controlnet",
    "patch_unet",
    "profile",
    "register_adapter",
    "save_controlnet",
    "xray",
]
