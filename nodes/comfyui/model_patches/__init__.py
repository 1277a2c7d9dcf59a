"""Control that is a patch of the model (ComfyUI's MODEL_PATCH): each is called on the rows that want it."""

from .route import route_model_patch

__all__ = ["route_model_patch"]
