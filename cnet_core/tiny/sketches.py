"""Hints as people make them: edges of pictures, outlines drawn by hand, thick or thin, whole or with gaps."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..control.edges import blur, keep_ridges

#: Canny's thresholds where none are drawn at random.
THRESHOLDS = (0.1, 0.2)
#: How many steps a strong edge may grow along a weak one; enough for pictures of 192 pixels.
GROWTH = 24
#: Pixels by which a shaky hand misses, at most.
SHAKE = 1.6
#: Gradients weaker than this (per pixel) are noise, also where nothing is stronger.
FLOOR = 0.008
#: Shares of silhouettes (the outline alone), of edges of the gray picture, of shaky hands, of lines with gaps.
SILHOUETTES, GRAY, SHAKY, WITH_GAPS = 0.3, 0.25, 0.35, 0.3


@torch.no_grad()
def training_hints(pictures: Tensor, cover: Tensor, generator: torch.Generator) -> Tensor:
    """Returns one hint a picture, white lines on black: (B, 3, H, W), 0..1.

    Nothing waits for a GPU here.

    Args:
        pictures: (B, 3, H, W), 0..1.
        cover: how far each pixel is the thing's, (B, H, W), 0..1.
        generator: on their device.
    """
    count, device = len(pictures), pictures.device
    chance = torch.rand(6, count, 1, 1, 1, generator=generator, device=device)
    silhouette = (cover[:, None] > 0.5).float().expand(-1, 3, -1, -1)
    source = torch.where(chance[0] < SILHOUETTES, silhouette, pictures)
    gray = 0.299 * source[:, :1] + 0.587 * source[:, 1:2] + 0.114 * source[:, 2:]
    source = torch.where(chance[1] < GRAY, gray.expand(-1, 3, -1, -1), source)
    high = 0.10 + 0.25 * chance[2]
    lines = canny(source, high * (0.3 + 0.4 * chance[3]), high)
    lines = _shake(lines, chance[4] < SHAKY, generator)
    lines = _thicken(lines, torch.rand(count, 1, 1, 1, generator=generator, device=device))
    lines = lines * ~(_gaps(lines, generator) & (chance[5] < WITH_GAPS))
    return lines.expand(-1, 3, -1, -1)


def draw_edges(pictures: Tensor) -> Tensor:
    """Returns the edges of pictures (B, 3, H, W), 0..1, as hints of the same size: thin white lines on black.

    It makes hints of drawn scenes; `find_edges` makes those of users' pictures. Drawn scenes have little
    texture, so an edge of 0.2 of the peak starts a line here, and one of 0.25 there. `canny` says more.
    """
    return canny(pictures, *THRESHOLDS).expand(-1, 3, -1, -1).contiguous()


def canny(pictures: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Returns Canny's edges (Gaussian, Sobel, non-maximum suppression, hysteresis): (B, 1, H, W), 0 or 1.

    Thresholds are shares of the picture's strongest gradient; a tensor (B, 1, 1, 1) has one per picture. Weak
    edges continue a strong one for GROWTH pixels. The number of steps is fixed, so training never waits for a
    GPU; `find_edges` waits after each step, since it grows lines until nothing changes.
    """
    thin, peak = keep_ridges(*_gradient_per_pixel(blur(pictures)))
    weak = (thin > (low * peak).clamp(min=FLOOR / 2)).float()
    found = (thin > (high * peak).clamp(min=FLOOR)).float()
    for _ in range(GROWTH):
        found = F.max_pool2d(found, 3, stride=1, padding=1) * weak
    return found


def _gradient_per_pixel(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Returns Sobel's differences to the right and downward, divided by 8.

    `find_edges` sums them in another order. Rounding decides between two equal ridges, so with that order hints
    would move by a pixel in places, away from those that the embedded weights know.
    """
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 2:] - padded[..., :-2]) / 8
    down = (padded[..., 2:, :] - padded[..., :-2, :]) / 8
    dx = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    dy = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return dx, dy


def _noise(like: Tensor, channels: int, cells: int, generator: torch.Generator) -> Tensor:
    """Returns smooth noise of `cells` waves across, about -1..1: (B, channels, H, W)."""
    size = (len(like), channels, cells, cells)
    coarse = torch.rand(size, generator=generator, device=like.device) * 2 - 1
    return F.interpolate(coarse, size=like.shape[-2:], mode="bicubic", align_corners=True)


def _shake(lines: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
    """Returns lines as a shaky hand follows them, where `which`; still 0 or 1."""
    height, width = lines.shape[-2:]
    shift = _noise(lines, 2, 9, generator) * (2 * SHAKE / width) * which
    identity = torch.eye(2, 3, device=lines.device).expand(len(lines), -1, -1)
    grid = F.affine_grid(identity, [len(lines), 1, height, width], align_corners=False)
    moved = F.grid_sample(lines, grid + shift.permute(0, 2, 3, 1), align_corners=False)
    return torch.where(which, (moved > 0.35).float(), lines)


def _thicken(lines: Tensor, chance: Tensor) -> Tensor:
    """Returns lines of 1, 2 or 3 pixels, some of them soft."""
    two = F.max_pool2d(F.pad(lines, (0, 1, 0, 1)), 2, stride=1)
    three = F.max_pool2d(lines, 3, stride=1, padding=1)
    soft = F.avg_pool2d(F.pad(two, (1, 1, 1, 1)), 3, stride=1) * 1.8
    thick = torch.where(chance < 0.45, lines, torch.where(chance < 0.7, two, three))
    return torch.where(chance > 0.85, soft.clamp(max=1), thick)


def _gaps(lines: Tensor, generator: torch.Generator) -> Tensor:
    """Returns where a drawing has gaps: (B, 1, H, W), bool."""
    return _noise(lines, 1, 14, generator) > 0.72
