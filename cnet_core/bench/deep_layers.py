"""Layers over few pixels in two ways, for the widths of SD1.5's and SDXL's deep blocks.

Convolutions: oneDNN's way and as a product. Linear layers: torch's way and with weights first.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from ..few_pixels import as_product, weights_first
from .settings import Settings
from .tables import Table
from .timing import Work, interleaved

#: Maps, channels in and out, side, stride.
CONVOLUTIONS = (
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
#: Tokens, channels in and out.
LINEAR = (
    (32, 1280, 10240),
    (64, 1280, 10240),
    (128, 1280, 10240),
    (256, 1280, 10240),
    (128, 5120, 1280),
    (128, 1280, 1280),
    (256, 640, 5120),
    (77, 768, 1280),
)


def section(settings: Settings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of both kinds, on the CPU."""
    works: dict[str, Work] = {}
    for rows, channels, out, side, stride in CONVOLUTIONS:
        conv = nn.Conv2d(channels, out, 3, stride, 1).requires_grad_(False)
        x = torch.randn(rows, channels, side, side)
        name = f"{rows} x {side} x {side}, {channels} to {out}, stride {stride}"
        works[name] = partial(conv, x)
        works[f"{name}: product"] = partial(as_product, conv, x, conv.weight, conv.bias)
    for tokens, channels, out in LINEAR:
        layer = nn.Linear(channels, out).requires_grad_(False)
        x = torch.randn(tokens, channels)
        name = f"{tokens} tokens, {channels} to {out}"
        works[name] = partial(layer, x)
        works[f"{name}: weights first"] = partial(weights_first, x, layer.weight, layer.bias)
    timed = interleaved(works, settings.rounds, torch.device("cpu"), tell)
    return Table(
        title="3x3 convolutions and linear layers, float32 on cpu",
        columns=("least ms", "median ms", "least cpu ms"),
        rows={
            name: (1000 * t.least, 1000 * t.median, 1000 * (t.least_busy or 0.0))
            for name, t in timed.items()
        },
        chart="least cpu ms",
    )
