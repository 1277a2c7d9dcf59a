"""Formats of ControlNet files, one module each, in the order of their check: specific before broad."""

from typing import Literal, get_args

from ..wrappers import control_names
from .control_lora import CONTROL_LORA
from .difference import DIFFERENCE
from .diffusers import DIFFUSERS
from .format import Format, Keys
from .full import FULL
from .ldm import LDM

__all__ = ["FORMATS", "LAYOUTS", "Format", "SaveLayout", "format_of", "layout_format"]

FORMATS = (CONTROL_LORA, DIFFERENCE, FULL, LDM, DIFFUSERS)

#: The formats that are written: "ldm" as released (keys with `control_model.`), "diffusers", "difference" to a base.
SaveLayout = Literal["ldm", "diffusers", "difference"]
LAYOUTS: tuple[SaveLayout, ...] = get_args(SaveLayout)


def format_of(keys: Keys) -> Format | None:
    """Returns the format of a file with these keys, or None if it is no ControlNet."""
    found = {*keys, *control_names(keys).values()}
    return next((format for format in FORMATS if format.matches(found)), None)


def layout_format(layout: str) -> Format:
    """Returns the format that a layout names. Raises ValueError if it is none of LAYOUTS."""
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}; it must be one of {', '.join(LAYOUTS)}.")
    return next(format for format in FORMATS if format.name == layout)
