"""ComfyUI's way into the pack."""

from .nodes import comfy_entrypoint

#: What ComfyUI's front end loads from us.
WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
