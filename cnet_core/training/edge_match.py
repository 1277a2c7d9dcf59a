"""Measures whether pictures have the edges that their hints show: it finds the pictures' edges and compares."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from ..control.edges import find_edges

#: Of an edge picture, at least this fraction of the pixels is nearly black or nearly white …
TWO_TONED, NEAR = 0.9, 0.15
#: … at most this fraction is white, …
MOST_WHITE = 0.3
#: … and at most this fraction of the white is in spots that are wider than WIDEST pixels.
MOST_WIDE, WIDEST = 0.1, 7
#: In a resized hint, lines are at least this bright, relative to the brightest value within WIDEST pixels …
LINE = 0.5
#: … and relative to the brightest value of the whole hint.
FAINTEST = 0.1
#: Lines match within this fraction of the picture's shorter side, at least 1 pixel.
TOLERANCE = 1 / 256


def are_edges(hints: Sequence[Tensor]) -> bool:
    """Whether hints, each (1, 3, H, W), 0..1, are thin white lines on black, as Canny's method draws them.

    Resizing makes thin lines gray, so give hints in the size in which they are stored. Black hints do not count.
    """
    drawn = [hint for hint in hints if bool(hint.max() > NEAR)]
    return bool(drawn) and all(_is_edges(hint) for hint in drawn)


def _is_edges(hint: Tensor) -> bool:
    low, high = hint.amin(dim=1), hint.amax(dim=1)
    if bool(((high - low) > NEAR).float().mean() > 1 - TWO_TONED):
        return False  # coloured
    dark, bright = high < NEAR, low > 1 - NEAR
    white = bright.float()
    if not (dark | bright).float().mean() >= TWO_TONED or not 0 < white.mean() <= MOST_WHITE:
        return False
    wide = -F.max_pool2d(-white[:, None], WIDEST, stride=1, padding=WIDEST // 2)
    return bool(_thicken(wide, WIDEST // 2).sum() <= MOST_WIDE * white.sum())


def edge_match(pictures: Tensor, hints: Tensor) -> float:
    """Returns how well the edges of pictures match their hints, 0..1: the mean F1 of the pictures.

    Precision is the fraction of a picture's edges that its hint shows. Recall is the fraction of the hint's lines that
    the picture has. F1 is their harmonic mean. Lines match if they are at most TOLERANCE apart.

    Args:
        pictures: (B, 3, H, W), nominally 0..1.
        hints: edges, (B, 3, H, W), 0..1; they may be resized.
    """
    drawn = find_edges(pictures.clamp(0, 1))[:, :1]
    wanted = _find_lines(hints)
    radius = max(1, round(min(hints.shape[-2:]) * TOLERANCE))
    precision = _share(drawn, _thicken(wanted, radius))
    recall = _share(wanted, _thicken(drawn, radius))
    return float((2 * precision * recall / (precision + recall).clamp(min=1e-9)).mean())


def _find_lines(hints: Tensor) -> Tensor:
    """Returns the lines of hints as (B, 1, H, W), 0 or 1, also where resizing has made them gray."""
    gray = hints.mean(dim=1, keepdim=True)
    near, brightest = _thicken(gray, WIDEST // 2), gray.amax(dim=(1, 2, 3), keepdim=True)
    return ((gray > LINE * near) & (gray > FAINTEST * brightest)).float()


def _share(lines: Tensor, allowed: Tensor) -> Tensor:
    """Returns the fraction of each picture's lines (B, 1, H, W) that lies where it may."""
    return (lines * allowed).sum(dim=(1, 2, 3)) / lines.sum(dim=(1, 2, 3)).clamp(min=1)


def _thicken(lines: Tensor, radius: int) -> Tensor:
    return F.max_pool2d(lines, 2 * radius + 1, stride=1, padding=radius)
