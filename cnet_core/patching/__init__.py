"""Attaching control to UNets."""

from .adapter import UNetAdapter, register_adapter
from .attachment import Attachment, attachments, patch_unet
from .diffusers import DiffusersAdapter
from .ldm import LdmAdapter
from .pipelines import ControlledPipeline, control_pipeline

__all__ = [
    "Attachment",
    "ControlledPipeline",
    "UNetAdapter",
    "attachments",
    "control_pipeline",
    "patch_unet",
    "register_adapter",
]

for _adapter in (LdmAdapter(), DiffusersAdapter()):
    register_adapter(_adapter)
