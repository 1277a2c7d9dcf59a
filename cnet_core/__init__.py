"""ControlNet for any Stable Diffusion UNet: load, route, schedule, inject."""

from . import xray
from .checkpoints import Fingerprint, identify, load_controlnet, save_controlnet
from .control.frame_strengths import FrameStrengths
from .control.hints import fit_hint, hint_from_image
from .control.routing import HintRouting
from .control.rows import Row
from .control.scales import BlockScales
from .control.windows import Window
from .conventions.profiles import PROFILE_NAMES, Profile, profile
from .engine.stack import ControlStack, ControlUnit, UNetCall
from .generic.block_control import BlockControl, control_blocks
from .generic.control_block import ControlBlock
from .nets.config import SD15, SD21, SDXL, UNetConfig
from .nets.controlnet import ControlNet
from .nets.residuals import Residuals
from .nets.unet import UNet
from .nets.union import UnionControlNet
from .patching import (
    Attachment,
    UNetAdapter,
    attachments,
    control_pipeline,
    patch_unet,
    register_adapter,
)

__version__ = "0.2.0"

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
    "FrameStrengths",
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
