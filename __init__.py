"""ComfyUI's way into the pack."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
