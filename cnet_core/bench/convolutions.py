"""Convolutions over few pixels: oneDNN's way and as a product, for the widths of SD1.5's and SDXL's deep blocks."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from ..few_pixels import as_product
from .settings import Settings
from .tables import Table
from .timing import Work, interleaved

#: Maps, channels in and out, side, stride.
SHAPES = (
    (1, 1280, 1280, 4, 1),
    (2, 1280, 1280, 4, 1),
    (8, 1280, 1280, 4, 1),
    (1, 1280, 1280, 8, 1),
    (2, 1280, 1280, 8, 1),
    (1, 1280, 1280, 8, 2),
    (2, 1280, 1280, 16, 2),
    (1, 640, 1280, 8, 1),
    (1, 640, 640, 16, 1),
)


def section(settings: Settings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of convolutions, on the CPU."""
    works: dict[str, Work] = {}
    for rows, channels, out, side, stride in SHAPES:
        conv = nn.Conv2d(channels, out, 3, stride, 1).requires_grad_(False)
        x = torch.randn(rows, channels, side, side)
        name = f"{rows} x {side} x {side}, {channels} to {out}, stride {stride}"
        works[name] = partial(conv, x)
        works[f"{name}: product"] = partial(as_product, conv, x, conv.weight, conv.bias)
    timed = interleaved(works, settings.rounds, torch.device("cpu"), tell)
    return Table(
        title="3x3 convolutions, float32 on cpu",
        columns=("least ms", "median ms", "least cpu ms"),
        rows={
            name: (1000 * t.least, 1000 * t.median, 1000 * (t.least_cpu or 0.0))
            for name, t in timed.items()
        },
        chart="least cpu ms",
    )
