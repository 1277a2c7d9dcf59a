"""UNetCall: the arguments of one call of a UNet, its time, and the branch and picture of each row."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .clock import Clock, TimestepClock
from .rows import Row


@dataclass(frozen=True)
class UNetCall:
    """The arguments of one call of a UNet, and the branch and picture of each row."""

    x: Tensor  # (B, C, H, W); nets with fewer channels read the first ones, before an inpaint model's mask
    timesteps: Tensor  # (B,)
    context: Tensor  # (B, tokens, context_dim)
    y: Tensor | None
    rows: tuple[Row, ...]  # B of them
    cfg_scale: float | None = None
    # whether the run has uncond rows, maybe in another call; None: see rows
    guided: bool | None = None
    host_clock: Clock | None = None  # None: the timesteps give the time

    @cached_property
    def clock(self) -> Clock:
        """The time of the call: the host's clock, or that of plain Stable Diffusion."""
        return TimestepClock(self.timesteps) if self.host_clock is None else self.host_clock

    @property
    def pictures(self) -> int:
        """How many pictures the batch has."""
        return max(row.picture for row in self.rows) + 1


def take(tensor: Tensor, rows: list[int]) -> Tensor:
    """Returns some rows, as a view if they are adjacent."""
    if len(rows) == len(tensor):
        return tensor
    if rows[-1] - rows[0] + 1 == len(rows):
        return tensor[rows[0] : rows[-1] + 1]
    return tensor[torch.tensor(rows, device=tensor.device)]
