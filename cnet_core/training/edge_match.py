"""Whether pictures have the edges that their hints show: their own edges are found again and compared."""

import torch.nn.functional as F
from torch import Tensor

from ..control.edges import find_edges

#: Of an edge picture, at least this fraction of the pixels is nearly black or nearly white …
TWO_TONED, NEAR = 0.9, 0.15
#: … at most this fraction is white, …
MOST_WHITE = 0.3
#: … and at most this fraction of the white is in spots that are wider than WIDEST pixels.
MOST_WIDE, WIDEST = 0.1, 7
#: Lines match within this fraction of the picture's shorter side, at least 1 pixel.
TOLERANCE = 1 / 256


def are_edges(hints: Tensor) -> bool:
    """Whether hints (B, 3, H, W), 0..1, are thin white lines on black, as Canny's method draws them."""
    low, high = hints.amin(dim=1), hints.amax(dim=1)
    if bool(((high - low) > NEAR).float().mean() > 1 - TWO_TONED):
        return False  # coloured
    dark, bright = high < NEAR, low > 1 - NEAR
    white = bright.float()
    if not (dark | bright).float().mean() >= TWO_TONED or not 0 < white.mean() <= MOST_WHITE:
        return False
    wide = -F.max_pool2d(-white[:, None], WIDEST, stride=1, padding=WIDEST // 2)
    return bool(_thicken(wide, WIDEST // 2).sum() <= MOST_WIDE * white.sum())


def edge_match(pictures: Tensor, hints: Tensor) -> float:
    """Returns how well the edges of pictures match their hints, 0..1.

    It is the mean over the pictures of F1: of the harmonic mean of two fractions, that of the picture's edges that the
    hint shows and that of the hint's lines that the picture has. Both allow a shift by TOLERANCE.

    Args:
        pictures: (B, 3, H, W), nominally 0..1.
        hints: edges, (B, 3, H, W), 0..1.
    """
    drawn = find_edges(pictures.clamp(0, 1))[:, :1]
    wanted = (hints.mean(dim=1, keepdim=True) > 0.5).float()
    radius = max(1, round(min(hints.shape[-2:]) * TOLERANCE))
    precision = _share(drawn, _thicken(wanted, radius))
    recall = _share(wanted, _thicken(drawn, radius))
    return float((2 * precision * recall / (precision + recall).clamp(min=1e-9)).mean())


def _share(lines: Tensor, allowed: Tensor) -> Tensor:
    """Returns the fraction of each picture's lines (B, 1, H, W) that lies where it may."""
    return (lines * allowed).sum(dim=(1, 2, 3)) / lines.sum(dim=(1, 2, 3)).clamp(min=1)


def _thicken(lines: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(lines, 2 * radius + 1, stride=1, padding=radius)
