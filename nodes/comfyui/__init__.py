"""The only part that touches ComfyUI's internals. Nodes call these few functions."""

from .apply import apply_control_net
from .files import describe_file, file_state, list_files, load_file
from .model_patches import route_model_patch
from .registry import control_category, warn_of_taken_ids
from .route import route_control_net
from .routes import add_routes
from .saving import register_output, save_control_net
from .tiny import draw_tiny_hint, draw_tiny_samples, load_tiny
from .training import train_control_net
from .xray import draw_xray

__all__ = [
    "add_routes",
    "apply_control_net",
    "control_category",
    "describe_file",
    "draw_tiny_hint",
    "draw_tiny_samples",
    "draw_xray",
    "file_state",
    "list_files",
    "load_file",
    "load_tiny",
    "register_output",
    "route_control_net",
    "route_model_patch",
    "save_control_net",
    "train_control_net",
    "warn_of_taken_ids",
]
