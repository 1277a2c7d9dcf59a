"""Attaching control to UNets."""

from .adapter import UNetAdapter, register_adapter
from .attachment import Attachment, attachments, patch_unet
from .diffusers import DiffusersAdapter
from .ldm import LdmAdapter

__all__ = ["Attachment", "UNetAdapter", "attachments", "patch_unet", "register_adapter"]

for _adapter in (LdmAdapter(), DiffusersAdapter()):
    register_adapter(_adapter)
