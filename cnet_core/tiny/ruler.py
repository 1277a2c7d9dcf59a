"""Measures a picture of the embedded world: where its thing is, and which colours thing and ground have."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .data import COLOURS
from .measure import filled_outline, flooded_outside
from .scenes import NAMES

#: A pixel belongs to the thing if it is further than this from its ground (Euclidean, RGB); what the thing
#: encloses, already if it is further than the second: a hole shows the ground itself, without its shadow.
OPEN_THRESHOLD, ENCLOSED_THRESHOLD = 0.17, 0.10
#: Gaps of up to twice as many pixels are closed; an area is whole that has this share of the largest, and tells
#: something if it has this share of the rectangle around the lines.
MOST_CLOSED, MOST_OF_IT, LEAST_SHARE = 7, 0.75, 0.25
RIM = 2  # pixels at the upper and lower edge that show the ground


def thing_mask(pictures: Tensor) -> Tensor:
    """Returns where each picture (B, 3, H, W) shows its thing: (B, H, W), bool.

    The ground runs evenly from its median colour at the upper edge to that at the lower edge.
    """
    distance = (pictures.clamp(0, 1) - ground(pictures)).square().sum(1).sqrt()
    mask = distance > OPEN_THRESHOLD
    return mask | (~flooded_outside(mask) & (distance > ENCLOSED_THRESHOLD))


def ground(pictures: Tensor) -> Tensor:
    """Returns the grounds of pictures (B, 3, H, W), as if there were no thing: (B, 3, H, 1)."""
    pictures = pictures.clamp(0, 1)
    upper = pictures[:, :, :RIM].flatten(2).median(dim=2).values[:, :, None, None]
    lower = pictures[:, :, -RIM:].flatten(2).median(dim=2).values[:, :, None, None]
    down = torch.linspace(0, 1, pictures.shape[2], device=pictures.device)[:, None]
    return upper + (lower - upper) * down


def outlined_area(hints: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what the lines of hints (B, C, H, W) go around (B, H, W), and whether they go around anything (B,).

    Gaps count as closed: lines are thickened, up to MOST_CLOSED pixels each way, until they enclose about as much
    as they ever do. A hint that even then encloses little of the rectangle around its lines has no area to
    measure by.
    """
    areas = torch.stack([filled_outline(_thickened(hints, r)) for r in range(MOST_CLOSED + 1)])
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


def _thickened(hints: Tensor, radius: int) -> Tensor:
    lines = (hints.amax(1, keepdim=True) > 0.5).float()
    return F.max_pool2d(lines, 2 * radius + 1, stride=1, padding=radius)


def thing_colours(pictures: Tensor, mask: Tensor) -> Tensor:
    """Returns the index in NAMES of each thing's median colour, under its mask (B, H, W): (B,); -1 without a thing."""
    inside = torch.where(mask[:, None], pictures.clamp(0, 1), torch.nan).flatten(2)
    found = _nearest(inside.nanmedian(dim=2).values)
    return torch.where(mask.flatten(1).any(1), found, -1)


def ground_colours(pictures: Tensor) -> Tensor:
    """Returns the index in NAMES of each ground's colour: (B,)."""
    return _nearest(ground(pictures).mean((2, 3)))


def _nearest(colours: Tensor) -> Tensor:
    palette = torch.tensor([COLOURS[n] for n in NAMES], device=colours.device)
    return (colours[:, None] - palette).square().sum(2).argmin(1)
