"""Finds what the lines of a hint enclose, gaps and all."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Gaps of up to twice as many pixels are closed; an area is whole that has this share of the largest, and tells
#: something if it has this share of the rectangle around the lines.
MOST_CLOSED, MOST_OF_IT, LEAST_SHARE = 7, 0.75, 0.25


def find_area(hints: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what the lines of hints (B, C, H, W) go around (B, H, W), and whether they go around anything (B,).

    Gaps count as closed: lines are thickened, up to MOST_CLOSED pixels each way, until they enclose about as much
    as they ever do. A hint that even then encloses little of the rectangle around its lines has no area to
    measure by. Texture all over a picture goes around nearly all of it.
    """
    areas = torch.stack([fill_outline(_thicken(hints, r)) for r in range(MOST_CLOSED + 1)])
    sizes = areas.flatten(2).float().mean(2)  # (radius, B), shares of the picture
    largest = sizes.amax(0)
    first = (sizes >= MOST_OF_IT * largest).int().argmax(0)
    found = areas[first, torch.arange(len(hints), device=hints.device)]
    around = _rectangle_area(hints.amax(1) > 0.5)
    return found, found.flatten(1).sum(1) >= LEAST_SHARE * around.clamp(min=1)


def fill_outline(hints: Tensor) -> Tensor:
    """Returns the shapes that the lines of hints (B, C, H, W), 0..1, enclose: (B, H, W), bool.

    Floods the outside from the border, 4-connected; lines are where the hint is above 0.5. Then inside and
    outside grow into the lines until they meet, so that the shape ends in the middle of its outline.
    """
    lines = F.pad(hints.amax(1) > 0.5, (1, 1, 1, 1))[:, None]
    outside = _flood_from_corner(lines)
    inside = ~lines & ~outside
    enclosed = inside.flatten(1).any(1)[:, None, None, None]
    while bool((free := ~(inside | outside) & enclosed).any()):
        inside, outside = (
            inside | (_grow(inside) & free),
            outside | (_grow(outside) & free & ~_grow(inside)),
        )
    return inside[:, 0, 1:-1, 1:-1]


def flood_outside(walls: Tensor) -> Tensor:
    """Returns what water reaches from each picture's border, 4-connected, up to its walls (B, H, W), bool."""
    return _flood_from_corner(F.pad(walls, (1, 1, 1, 1))[:, None])[:, 0, 1:-1, 1:-1]


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


def _flood_from_corner(walls: Tensor) -> Tensor:
    outside = torch.zeros_like(walls)
    outside[:, :, 0, 0] = True
    while not torch.equal(grown := _flood(outside, walls), outside):
        outside = grown
    return outside


def _flood(wet: Tensor, walls: Tensor) -> Tensor:
    """Returns the pixels that water reaches from `wet` along rows, then along columns, up to the walls."""
    for dim in (-1, -2):
        for ahead in (False, True):
            wet = wet | _flood_along(wet, walls, dim, ahead)
    return wet


def _flood_along(wet: Tensor, walls: Tensor, dim: int, ahead: bool) -> Tensor:
    if not ahead:
        return _flood_along(wet.flip(dim), walls.flip(dim), dim, True).flip(dim)
    place = torch.ones_like(wet, dtype=torch.long).cumsum(dim)
    last_wet = torch.where(wet, place, 0).cummax(dim).values
    last_wall = torch.where(walls, place, 0).cummax(dim).values
    return last_wet > last_wall


def _grow(mask: Tensor) -> Tensor:
    """Returns the mask and its neighbours above, below, left and right."""
    across = F.max_pool2d(mask.float(), (1, 3), stride=1, padding=(0, 1))
    down = F.max_pool2d(mask.float(), (3, 1), stride=1, padding=(1, 0))
    return torch.maximum(across, down) > 0
