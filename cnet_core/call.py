"""UNetCall: the arguments of one call of a UNet, and which rows of it are whose."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from .rows import Row
from .windows import Step

#: The last training timestep of Stable Diffusion: percent 0 of a run.
LAST_TIMESTEP = 999


@dataclass(frozen=True)
class UNetCall:
    """The arguments of one call of a UNet, and what each of its rows is."""

    x: Tensor  # (B, C, H, W); nets of fewer channels read the first: the latents, before an inpaint model's mask
    timesteps: Tensor  # (B,)
    context: Tensor  # (B, tokens, context_dim)
    y: Tensor | None
    rows: tuple[Row, ...]  # B of them
    cfg_scale: float | None = None
    known_percents: tuple[float, ...] | None = None  # by row, from hosts that count otherwise
    step: Step | None = None  # for windows that count sampling steps
    guided: bool | None = (
        None  # whether the run has uncond rows, maybe in another call; None: see rows
    )

    @cached_property
    def percents(self) -> tuple[float, ...]:
        """How far the run is, by row: 1 - t/999 of plain Stable Diffusion unless the host said it."""
        if self.known_percents is not None:
            return self.known_percents
        timesteps = cast(list[float], self.timesteps.tolist())
        return tuple(1 - t / LAST_TIMESTEP for t in timesteps)

    @property
    def pictures(self) -> int:
        """How many pictures are being made."""
        return max(row.picture for row in self.rows) + 1


def take(tensor: Tensor, rows: list[int]) -> Tensor:
    """Returns some rows; a view where they are neighbours."""
    if len(rows) == len(tensor):
        return tensor
    if rows[-1] - rows[0] + 1 == len(rows):
        return tensor[rows[0] : rows[-1] + 1]
    return tensor[torch.tensor(rows, device=tensor.device)]
