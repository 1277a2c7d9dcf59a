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
    """Returns thin white lines on black at the edges of pictures (B, C, H, W), 0..1: (B, 3, H, W), 0 or 1.

    It makes hints of users' pictures. They have any size, so lines grow until nothing changes, and a GPU
    finishes each step before the next one starts. They have texture, so a line needs a strong start (HIGH).
    `draw_edges` of the embedded world grows lines by a fixed number of steps and from weaker starts.
    """
    thin, peak = keep_ridges(*_gradient(blur(pictures)))
    strong = thin > (HIGH * peak).clamp(min=FLOOR)
    weak = thin > (LOW * peak).clamp(min=FLOOR / 2)
    return _connect(strong, weak).float().expand(-1, 3, -1, -1)


def blur(pictures: Tensor) -> Tensor:
    """Returns pictures (B, C, H, W) blurred by a Gaussian of SIGMA pixels."""
    radius = math.ceil(3 * SIGMA)
    at = torch.arange(-radius, radius + 1, dtype=pictures.dtype, device=pictures.device)
    kernel = torch.exp(-(at**2) / (2 * SIGMA**2))
    kernel = (kernel / kernel.sum()).expand(pictures.shape[1], 1, 1, -1)
    padded = F.pad(pictures, (radius,) * 4, mode="replicate")
    across = F.conv2d(padded, kernel, groups=pictures.shape[1])
    return F.conv2d(across, kernel.transpose(2, 3), groups=pictures.shape[1])


def keep_ridges(dx: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the gradient's strength on its ridges, 0 elsewhere, and each picture's peak: both (B, 1, ...).

    Args:
        dx: the gradient to the right, (B, C, H, W); the steepest channel decides.
        dy: the gradient downward.
    """
    strength, channel = (dx * dx + dy * dy).sqrt().max(dim=1, keepdim=True)
    thin = strength * _find_ridges(strength, dx.gather(1, channel), dy.gather(1, channel))
    return thin, strength.amax(dim=(1, 2, 3), keepdim=True)


def _gradient(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Returns Sobel's differences to the right and downward."""
    sobel = pictures.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    channels = pictures.shape[1]
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    dx, dy = (
        F.conv2d(padded, kernel.expand(channels, 1, 3, 3), groups=channels)
        for kernel in (sobel, sobel.T)
    )
    return dx, dy


def _find_ridges(strength: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
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
