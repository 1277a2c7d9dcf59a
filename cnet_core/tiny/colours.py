"""The 16 colours that a prompt of the embedded model can name."""

import functools

import torch
from torch import Tensor

#: The 16 colours a prompt can name, RGB in 0..1. Inside 0.08..0.92, so that a correct picture never clips.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.15, 0.15),
    "coral": (0.92, 0.48, 0.38),
    "orange": (0.92, 0.58, 0.12),
    "yellow": (0.92, 0.85, 0.25),
    "olive": (0.50, 0.50, 0.12),
    "green": (0.16, 0.62, 0.22),
    "teal": (0.08, 0.48, 0.50),
    "sky": (0.45, 0.75, 0.92),
    "blue": (0.15, 0.30, 0.85),
    "navy": (0.08, 0.12, 0.42),
    "purple": (0.48, 0.18, 0.65),
    "pink": (0.92, 0.62, 0.78),
    "brown": (0.42, 0.25, 0.14),
    "gray": (0.50, 0.50, 0.52),
    "black": (0.09, 0.09, 0.10),
    "white": (0.92, 0.92, 0.91),
}
#: The colours' names, by index.
NAMES: tuple[str, ...] = tuple(COLOURS)


@functools.cache
def palette(device: torch.device) -> Tensor:
    """Returns the colours on a device: (16, 3)."""
    return torch.tensor(list(COLOURS.values()), device=device)


def nearest_colour(rgb: Tensor) -> Tensor:
    """Returns the index in NAMES of the colour nearest to each row of (B, 3): (B,)."""
    return (rgb[:, None] - palette(rgb.device)).square().sum(2).argmin(1)
