"""Edges of a photo or drawing as a hint: Canny's method (1986) in torch."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: Blur before the gradient, in pixels.
SIGMA = 1.0
#: A pixel starts an edge above HIGH of the strongest gradient, and continues one above LOW of it.
HIGH, LOW = 0.25, 0.1
#: Gradients weaker than this (a step of about 4 in 255) are noise, even if nothing is stronger.
FLOOR = 0.06


def find_edges(pictures: Tensor) -> Tensor:
    """Returns thin white lines on black at the edges of pictures (B, C, H, W), 0..1: (B, 3, H, W), 0 or 1."""
    dx, dy = _gradient(_blur(pictures))
    strength = (dx * dx + dy * dy).sqrt()
    strength, channel = strength.max(dim=1, keepdim=True)  # the steepest channel decides
    dx, dy = dx.gather(1, channel), dy.gather(1, channel)
    thin = strength * find_ridges(strength, dx, dy)
    peak = strength.amax(dim=(1, 2, 3), keepdim=True)
    strong = thin > (HIGH * peak).clamp(min=FLOOR)
    weak = thin > (LOW * peak).clamp(min=FLOOR / 2)
    return _connect(strong, weak).float().expand(-1, 3, -1, -1)


def _blur(pictures: Tensor) -> Tensor:
    radius = math.ceil(3 * SIGMA)
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(at**2) / (2 * SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    padded = F.pad(pictures, (radius,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=pictures.shape[1])
    return F.conv2d(across, kernel.transpose(2, 3), groups=pictures.shape[1])


def _gradient(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Returns Sobel's differences to the right and downward."""
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    channels = pictures.shape[1]
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    dx, dy = (
        F.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels)
        for kernel in (sobel, sobel.T)
    )
    return dx, dy


def find_ridges(strength: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Returns 1 where the gradient is largest along its own direction (of four), else 0."""
    direction = torch.round(torch.atan2(dy, dx) / (math.pi / 4)).long() % 4
    padded = F.pad(strength, (1, 1, 1, 1))
    height, width = strength.shape[-2:]
    ridge = torch.zeros_like(strength, dtype=torch.bool)
    for index, (x, y) in enumerate(((1, 0), (1, 1), (0, 1), (-1, 1))):
        ahead = padded[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width]
        behind = padded[..., 1 - y : 1 - y + height, 1 - x : 1 - x + width]
        ridge |= (direction == index) & (strength >= ahead) & (strength > behind)
    return ridge


def _connect(strong: Tensor, weak: Tensor) -> Tensor:
    """Returns the weak pixels that touch strong ones, directly or through others, and the strong."""
    found = strong
    while True:
        grown = (F.max_pool2d(found.float(), 3, stride=1, padding=1) > 0) & (weak | strong)
        if torch.equal(grown, found):
            return found
        found = grown
