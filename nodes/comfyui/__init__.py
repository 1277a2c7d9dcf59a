"""The only part that knows ComfyUI's internals; nodes call these few functions."""

from .apply import apply
from .files import describe_file, file_names, file_state, load_file
from .registry import control_category, warn_of_taken_ids
from .route import route
from .saving import register_output, save
from .tiny import draw_hint, load_tiny, tiny_samples
from .training import train
from .xray import xray

__all__ = [
    "apply",
    "control_category",
    "describe_file",
    "draw_hint",
    "file_names",
    "file_state",
    "load_file",
    "load_tiny",
    "register_output",
    "route",
    "save",
    "tiny_samples",
    "train",
    "warn_of_taken_ids",
    "xray",
]
