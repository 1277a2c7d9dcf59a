"""Reuse: keeps residuals from step to step while the latents have moved only a little.

Within a run residuals depend on the noisy latents and on the timestep, which change together. The proxy for their error
is how far a row's latents have moved since its residuals were computed, relative to their norm: a few operations on
the smallest tensor of the step. docs/dev/measurements.md shows how the error follows it on the embedded model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ..control.call import take
from ..nets.residuals import Residuals


@dataclass(frozen=True)
class NetInputs:
    """The inputs that a ControlNet's residuals depend on within a run, n rows each."""

    x: Tensor  # (n, C, H, W)
    timesteps: Tensor  # (n,)
    context: Tensor  # (n, tokens, context_dim)
    y: Tensor | None

    def take(self, rows: list[int]) -> "NetInputs":
        """Returns some rows."""
        return self.map(lambda tensor: take(tensor, rows))

    def map(self, change: Callable[[Tensor], Tensor]) -> "NetInputs":
        """Returns the inputs with every tensor changed."""
        y = None if self.y is None else change(self.y)
        return NetInputs(change(self.x), change(self.timesteps), change(self.context), y)

    @property
    def shapes(self) -> tuple[object, ...]:
        """Sizes, dtypes and devices: residuals for others are not comparable."""
        given = [t for t in (self.x, self.timesteps, self.context, self.y) if t is not None]
        return tuple((t.shape, t.dtype, t.device) for t in given)


@dataclass(frozen=True)
class Refresh:
    """Residuals for all requested rows, and how they were obtained; positions count within these rows."""

    residuals: Residuals
    evaluated: tuple[int, ...]
    moved: tuple[float, ...] | None = None  # by row; None at the first call
    changes: Tensor | None = None  # of the rows evaluated again: see cnet_core.engine.usage.Use


@dataclass(frozen=True)
class _CacheEntry:
    inputs: NetInputs
    residuals: Residuals


class Reuse:
    """The kept residuals of one unit, one set for each combination of rows in a call."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self._kept: dict[tuple[object, ...], _CacheEntry] = {}

    def clear(self) -> None:
        """Drops everything kept."""
        self._kept.clear()

    def refresh(
        self,
        key: tuple[object, ...],
        inputs: NetInputs,
        compute: Callable[[list[int]], Residuals],
    ) -> Refresh:
        """Returns residuals for all rows of `inputs`, computing those of rows that moved too far.

        The host must know these rows before it runs the net, so this waits for the device once, for one number
        per row.

        Args:
            key: equal for calls with the same rows in the same order.
            inputs: of this call.
            compute: returns the residuals of some rows, given their positions.
        """
        key = (*key, *inputs.shapes)
        everything = list(range(len(inputs.x)))
        kept = self._kept.get(key)
        if kept is None:
            return self._keep(key, inputs, Refresh(compute(everything), tuple(everything)))
        moved = tuple(cast(list[float], distance(kept.inputs, inputs).tolist()))
        stale = [row for row, share in enumerate(moved) if not share <= self.tolerance]
        if not stale:
            return Refresh(kept.residuals, (), moved)
        fresh = compute(stale)
        changes = relative_change(_take_rows(kept.residuals, stale), fresh)
        residuals = _replace_rows(kept.residuals, fresh, stale)
        inputs = _update_inputs(kept.inputs, inputs, stale)
        return self._keep(key, inputs, Refresh(residuals, tuple(stale), moved, changes))

    def _keep(self, key: tuple[object, ...], inputs: NetInputs, refreshed: Refresh) -> Refresh:
        if not any(b is not None and b.requires_grad for b in refreshed.residuals.blocks):
            # Cloned, since samplers may continue in place.
            self._kept[key] = _CacheEntry(inputs.map(torch.clone), refreshed.residuals)
        return refreshed


def distance(then: NetInputs, now: NetInputs) -> Tensor:
    """Returns ||x - x_then|| / ||x_then|| by row; infinite if the time moved back, or the text or `y` differs."""
    before, after = then.x.flatten(1), now.x.flatten(1)
    share = torch.sqrt(_squares(after - before) / _squares(before))
    other = now.timesteps > then.timesteps
    other = other | (now.context != then.context).flatten(1).any(1)
    if now.y is not None and then.y is not None:
        other = other | (now.y != then.y).flatten(1).any(1)
    return share.masked_fill(other, torch.inf)


def relative_change(old: Residuals, new: Residuals) -> Tensor:
    """Returns ||old - new|| / ||new|| by row, with all blocks as one vector."""
    pairs = [
        (a.flatten(1), b.flatten(1))
        for a, b in zip(new.blocks, old.blocks, strict=True)
        if a is not None and b is not None
    ]
    apart = torch.stack([_squares(a - b) for a, b in pairs]).sum(0)
    return torch.sqrt(apart / torch.stack([_squares(a) for a, _ in pairs]).sum(0))


def _squares(vectors: Tensor) -> Tensor:
    """Returns the squared norm of each row, in float32."""
    return vectors.float().square().sum(1)


def _take_rows(residuals: Residuals, rows: list[int]) -> Residuals:
    return Residuals.of([None if b is None else take(b, rows) for b in residuals.blocks])


def _replace_rows(old: Residuals, new: Residuals, rows: Sequence[int]) -> Residuals:
    """Returns the old residuals with the new ones in some rows; the old tensors do not change."""
    pairs = zip(old.blocks, new.blocks, strict=True)
    return Residuals.of(
        [None if a is None or b is None else _overwrite_rows(a, b, rows) for a, b in pairs]
    )


def _update_inputs(old: NetInputs, new: NetInputs, rows: list[int]) -> NetInputs:
    """Returns the old inputs with the new ones in some rows."""
    fresh = new.take(rows)
    y = None if old.y is None or fresh.y is None else _overwrite_rows(old.y, fresh.y, rows)
    return NetInputs(
        _overwrite_rows(old.x, fresh.x, rows),
        _overwrite_rows(old.timesteps, fresh.timesteps, rows),
        _overwrite_rows(old.context, fresh.context, rows),
        y,
    )


def _overwrite_rows(old: Tensor, new: Tensor, rows: Sequence[int]) -> Tensor:
    if len(rows) == len(old):
        return new
    return old.index_copy(0, torch.tensor(rows, device=old.device), new)
