"""The style of the picture: colours for a dark ground, and letters that stay readable at a third of their size."""

from functools import cache

import numpy as np
from PIL import ImageFont

Colour = tuple[int, int, int]

MARGIN = 24
#: Pixels: the verdict, titles, names and numbers, explanations.
VERDICT, TITLE, LABEL, SMALL = 34, 30, 28, 26
PAPER, INK, FAINT = (24, 24, 27), (236, 236, 240), (165, 165, 173)
NOTHING, UNKNOWN = (62, 62, 67), PAPER
#: From little to much, dark to light, so that it also works in grey.
HEAT: tuple[Colour, ...] = (
    (58, 26, 92),
    (136, 34, 106),
    (212, 72, 66),
    (252, 166, 74),
    (255, 243, 201),
)
#: One colour per ControlNet, which colour-blind people can also distinguish (Okabe and Ito's).
UNITS: tuple[Colour, ...] = ((86, 180, 233), (230, 159, 0), (0, 178, 130), (214, 140, 184))


def heat_colour(share: float) -> Colour:
    """Returns the colour of a fraction of the largest value, 0..1."""
    stops = np.linspace(0, 1, len(HEAT))
    red, green, blue = (
        round(float(np.interp(share, stops, [c[k] for c in HEAT]))) for k in range(3)
    )
    return red, green, blue


def unit_colour(unit: int) -> Colour:
    """Returns the colour of a ControlNet."""
    return UNITS[unit % len(UNITS)]


@cache
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Returns Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)
