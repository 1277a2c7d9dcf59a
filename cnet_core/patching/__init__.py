"""Attaching control to UNets."""

from .attachment import Attachment, patch_unet

__all__ = ["Attachment", "patch_unet"]
