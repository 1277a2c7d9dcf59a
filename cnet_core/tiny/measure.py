"""Measures pictures of the tiny model: do they follow the hint, are the colours right, are they oversaturated?"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .data import COLOURS

#: A pixel may belong to the shape if it is further than this from the border's colour (Euclidean, RGB): half of
#: the smallest distance that two colours of one picture have.
SHAPE_THRESHOLD = 0.22


def shape_mask(pictures: Tensor) -> Tensor:
    """Returns where each picture (B, 3, H, W) shows its shape: (B, H, W), bool.

    The background is the median colour of the border, the shape's colour that of the pixels that differ from it; a
    pixel nearer to the second belongs to the shape.
    """
    pictures = pictures.clamp(0, 1)
    rim = [pictures[:, :, 0], pictures[:, :, -1], pictures[:, :, :, 0], pictures[:, :, :, -1]]
    background = torch.cat(rim, dim=-1).median(dim=-1).values[:, :, None, None]
    distance = (pictures - background).square().sum(1).sqrt()
    differing = torch.where(distance > SHAPE_THRESHOLD, distance, torch.nan)
    half = differing.flatten(1).nanmedian(dim=1).values / 2  # nan if nothing differs
    return distance > half.nan_to_num(SHAPE_THRESHOLD).clamp(min=SHAPE_THRESHOLD)[:, None, None]


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns the intersection over union of two masks (B, H, W): (B,); 0 where both are empty."""
    both, either = (a & b).flatten(1).sum(1), (a | b).flatten(1).sum(1)
    return both / either.clamp(min=1)


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


def saturation(pictures: Tensor) -> Tensor:
    """Returns the fraction of values outside 0..1 of pictures (B, 3, H, W) before clamping: (B,). NaN is outside."""
    return (~((pictures >= 0) & (pictures <= 1))).float().flatten(1).mean(1)


def nearest_colour(pictures: Tensor, mask: Tensor) -> list[str]:
    """Returns the palette's name for the median colour of each picture (B, 3, H, W) under its mask (B, H, W)."""
    names = list(COLOURS)
    palette = torch.tensor([COLOURS[n] for n in names])
    found: list[str] = []
    for picture, where in zip(pictures.clamp(0, 1), mask, strict=True):
        if not where.any():
            found.append("nothing")
            continue
        colour = picture[:, where].median(dim=-1).values
        found.append(names[int((palette - colour).square().sum(1).argmin())])
    return found


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
