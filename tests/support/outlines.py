"""Measures whether the lines of a hint go around a thing, gaps and all."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cnet_core.tiny.measure import fill_outline

#: Gaps of up to twice as many pixels are closed; an area is whole that has this share of the largest, and tells
#: something if it has this share of the rectangle around the lines.
MOST_CLOSED, MOST_OF_IT, LEAST_SHARE = 7, 0.75, 0.25


def find_area(hints: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what the lines of hints (B, C, H, W) go around (B, H, W), and whether they go around anything (B,).

    Gaps count as closed: lines are thickened, up to MOST_CLOSED pixels each way, until they enclose about as much
    as they ever do. A hint that even then encloses little of the rectangle around its lines has no area to
    measure by.
    """
    areas = torch.stack([fill_outline(_thicken(hints, r)) for r in range(MOST_CLOSED + 1)])
    sizes = areas.flatten(2).float().mean(2)  # (radius, B), shares of the picture
    largest = sizes.amax(0)
    first = (sizes >= MOST_OF_IT * largest).int().argmax(0)
    found = areas[first, torch.arange(len(hints), device=hints.device)]
    around = _rectangle_area(hints.amax(1) > 0.5)
    return found, found.flatten(1).sum(1) >= LEAST_SHARE * around.clamp(min=1)


def _rectangle_area(lines: Tensor) -> Tensor:
    """Returns how many pixels the upright rectangle around the lines (B, H, W) of each hint has: (B,)."""
    return _span(lines.any(1)) * _span(lines.any(2))


def _span(hit: Tensor) -> Tensor:
    """Returns the distance from the first to the last hit of each row (B, N), both counted: (B,)."""
    first, last = hit.int().argmax(1), hit.shape[1] - 1 - hit.flip(1).int().argmax(1)
    return torch.where(hit.any(1), last - first + 1, 0)


def _thicken(hints: Tensor, radius: int) -> Tensor:
    lines = (hints.amax(1, keepdim=True) > 0.5).float()
    return F.max_pool2d(lines, 2 * radius + 1, stride=1, padding=radius)
