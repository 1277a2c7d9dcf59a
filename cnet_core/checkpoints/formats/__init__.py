"""Formats of ControlNet files, one module each, in the order in which they are asked: specific before broad."""

from ..wrappers import control_names
from .control_lora import CONTROL_LORA
from .difference import DIFFERENCE
from .diffusers import DIFFUSERS
from .format import Format, Keys
from .full import FULL
from .ldm import LDM

__all__ = ["FORMATS", "Format", "format_of"]

FORMATS = (CONTROL_LORA, DIFFERENCE, FULL, LDM, DIFFUSERS)


def format_of(keys: Keys) -> Format | None:
    """Returns the format of a file with these keys, or None if it is no ControlNet."""
    found = {*keys, *control_names(keys).values()}
    return next((format for format in FORMATS if format.matches(found)), None)
