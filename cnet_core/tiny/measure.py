"""What a picture of the tiny model shows: does it follow the hint, are its colours right, is it burnt?"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .data import COLOURS

#: A pixel belongs to the shape if it is further than this from the border's colour (Euclidean, RGB).
SHAPE_THRESHOLD = 0.22


def shape_mask(pictures: Tensor) -> Tensor:
    """Returns where each picture (B, 3, H, W) differs from the median colour of its border: (B, H, W), bool."""
    pictures = pictures.clamp(0, 1)
    rim = torch.cat(
        [pictures[:, :, 0], pictures[:, :, -1], pictures[:, :, :, 0], pictures[:, :, :, -1]], dim=-1
    )
    background = rim.median(dim=-1).values[:, :, None, None]
    return (pictures - background).square().sum(1).sqrt() > SHAPE_THRESHOLD


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns the intersection over union of two masks (B, H, W): (B,); 0 where both are empty."""
    both, either = (a & b).flatten(1).sum(1), (a | b).flatten(1).sum(1)
    return both / either.clamp(min=1)


def filled_outline(hints: Tensor) -> Tensor:
    """Returns the shapes that the lines of hints (B, C, H, W), 0..1, enclose: (B, H, W), bool.

    Floods the outside from the border, 4-connected; lines are where the hint is above 0.5. Then inside and
    outside grow into the lines until they meet, so that the shape ends in the middle of its outline.
    """
    lines = F.pad(hints.amax(1) > 0.5, (1, 1, 1, 1))[:, None]
    outside = torch.zeros_like(lines)
    outside[:, :, 0, 0] = True
    while not torch.equal(grown := _grow(outside) & ~lines, outside):
        outside = grown
    inside = ~lines & ~outside
    enclosed = inside.flatten(1).any(1)[:, None, None, None]
    while bool((free := ~(inside | outside) & enclosed).any()):
        inside, outside = (
            inside | (_grow(inside) & free),
            outside | (_grow(outside) & free & ~_grow(inside)),
        )
    return inside[:, 0, 1:-1, 1:-1]


def saturation(pictures: Tensor) -> Tensor:
    """Returns the share of values outside 0..1 of undamped pictures (B, 3, H, W): (B,)."""
    return ((pictures < 0) | (pictures > 1)).float().flatten(1).mean(1)


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


def _grow(mask: Tensor) -> Tensor:
    """Returns the mask and its neighbours above, below, left and right."""
    across = F.max_pool2d(mask.float(), (1, 3), stride=1, padding=(0, 1))
    down = F.max_pool2d(mask.float(), (3, 1), stride=1, padding=(1, 0))
    return torch.maximum(across, down) > 0
