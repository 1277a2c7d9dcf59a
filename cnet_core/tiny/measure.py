"""Measures pictures of the embedded model: where is the thing, are the colours right, are they oversaturated?"""

import torch
from torch import Tensor

from .colours import nearest_colour
from .outlines import flood_outside

#: A pixel belongs to the thing if it is further than this from its ground (Euclidean, RGB); what the thing
#: encloses, already if it is further than the second: a hole shows the ground itself, without its shadow.
OPEN_THRESHOLD, ENCLOSED_THRESHOLD = 0.17, 0.10
RIM = 2  # pixels at the upper and lower edge that show the ground


def thing_mask(pictures: Tensor) -> Tensor:
    """Returns where each picture (B, 3, H, W) shows its thing: (B, H, W), bool.

    The ground changes evenly from its median colour at the upper edge to that at the lower edge.
    """
    distance = (pictures.clamp(0, 1) - ground(pictures)).square().sum(1).sqrt()
    mask = distance > OPEN_THRESHOLD
    return mask | (~flood_outside(mask) & (distance > ENCLOSED_THRESHOLD))


def ground(pictures: Tensor) -> Tensor:
    """Returns the grounds of pictures (B, 3, H, W), as if there were no thing: (B, 3, H, 1)."""
    pictures = pictures.clamp(0, 1)
    upper = pictures[:, :, :RIM].flatten(2).median(dim=2).values[:, :, None, None]
    lower = pictures[:, :, -RIM:].flatten(2).median(dim=2).values[:, :, None, None]
    down = torch.linspace(0, 1, pictures.shape[2], device=pictures.device)[:, None]
    return upper + (lower - upper) * down


def thing_colours(pictures: Tensor, mask: Tensor) -> Tensor:
    """Returns the index in NAMES of each thing's median colour, under its mask (B, H, W): (B,); -1 without a thing."""
    inside = torch.where(mask[:, None], pictures.clamp(0, 1), torch.nan).flatten(2)
    found = nearest_colour(inside.nanmedian(dim=2).values)
    return torch.where(mask.flatten(1).any(1), found, -1)


def ground_colours(pictures: Tensor) -> Tensor:
    """Returns the index in NAMES of each ground's colour: (B,)."""
    return nearest_colour(ground(pictures).mean((2, 3)))


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns the intersection over union of two masks (B, H, W): (B,); 0 where both are empty."""
    both, either = (a & b).flatten(1).sum(1), (a | b).flatten(1).sum(1)
    return both / either.clamp(min=1)


def saturation(pictures: Tensor) -> Tensor:
    """Returns the fraction of values outside 0..1 of pictures (B, 3, H, W) before clamping: (B,). NaN is outside."""
    return (~((pictures >= 0) & (pictures <= 1))).float().flatten(1).mean(1)
