"""The only part that knows ComfyUI's internals; nodes call these few functions."""

from .apply import apply
from .files import describe_file, file_names, file_state, load_file
from .registry import warn_of_taken_ids
from .tiny import load_tiny
from .xray import xray

__all__ = [
    "apply",
    "describe_file",
    "file_names",
    "file_state",
    "load_file",
    "load_tiny",
    "warn_of_taken_ids",
    "xray",
]
