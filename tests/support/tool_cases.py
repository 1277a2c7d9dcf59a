"""The cases in which other tools' weighting is recorded: residuals, mask, and what every profile is called there."""

from itertools import product

import torch
from ramps import noise

#: Residuals of a ControlNet with 13 blocks (SD1.x) and with 10 (SDXL).
BLOCKS = {"sd": 13, "xl": 10}
STRENGTH = 0.7
#: (start, end, number of steps) of recorded windows.
WINDOWS = [
    (0.0, 1.0, 10),
    (0.2, 0.7, 10),
    (0.25, 0.75, 10),
    (0.33, 0.5, 7),
    (0.0, 0.0, 5),
    (0.5, 1.0, 8),
]


def residuals(family: str) -> list[torch.Tensor]:
    """Blocks (2, 1, 2, 2), shallow to deep, middle last; row 0 is uncond and row 1 cond."""
    return [noise(f"{family}{k}", 2, 1, 2, 2) for k in range(BLOCKS[family])]


def mask() -> torch.Tensor:
    """A mask (6, 6) whose averages differ from its samples."""
    return noise("mask", 6, 6).sigmoid()


def cases() -> list[tuple[str, bool, bool]]:
    """(family, pooled, masked) of every recorded call."""
    return list(product(BLOCKS, (False, True), (False, True)))


def key(profile: str, family: str, pooled: bool, masked: bool) -> str:
    """The name of a recorded tensor (blocks, 2, 1, 2, 2)."""
    return f"{profile}.{family}{'.pooled' * pooled}{'.masked' * masked}"
