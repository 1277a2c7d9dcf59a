"""Residuals: what a ControlNet adds to the skip connections and the middle of a UNet, and all their shape checks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Residuals:
    """One tensor per block, shallow to deep, the middle apart; None if a block gets nothing."""

    skips: tuple[Tensor | None, ...]  # (B, C_i, H_i, W_i) each
    middle: Tensor | None  # (B, C, H, W)

    @property
    def blocks(self) -> tuple[Tensor | None, ...]:
        """All of them in block order: the skips, then the middle."""
        return (*self.skips, self.middle)

    @classmethod
    def of(cls, blocks: Sequence[Tensor | None]) -> "Residuals":
        """Returns the residuals of a sequence in block order, middle last."""
        return cls(tuple(blocks[:-1]), blocks[-1])

    def __add__(self, other: "Residuals") -> "Residuals":
        """Returns the sum, block by block, in the wider of the two dtypes.

        Raises:
            ValueError: the two are for UNets of different shape.
        """
        if len(self.skips) != len(other.skips):
            raise ValueError(
                f"Residuals for {len(self.blocks)} and for {len(other.blocks)} blocks cannot be added: the "
                "ControlNets are of different families (SD1.x and SD2.x have 13 blocks, SDXL 10)."
            )
        pairs = zip(self.blocks, other.blocks, strict=True)
        return Residuals.of([_sum(a, b, index) for index, (a, b) in enumerate(pairs)])

    def pool_over_space(self) -> "Residuals":
        """Returns each block's mean over height and width, everywhere."""
        return Residuals.of([None if b is None else pool_over_space(b) for b in self.blocks])

    def without(self, blocks: Collection[int]) -> "Residuals":
        """Returns residuals without these blocks (the middle is the last)."""
        return Residuals.of([None if k in blocks else b for k, b in enumerate(self.blocks)])


@dataclass(frozen=True)
class RowResiduals:
    """Residuals of some rows of a UNet's batch; the other rows get nothing."""

    residuals: Residuals  # (len(rows), C_i, H_i, W_i) each
    rows: tuple[int, ...]  # their places, in order
    batch: int  # rows of the UNet's batch

    @property
    def all_rows(self) -> bool:
        """Whether every row of the batch has residuals, in order."""
        return self.rows == tuple(range(self.batch))

    def __add__(self, other: "RowResiduals") -> "RowResiduals":
        """Returns the sum; raises as `Residuals.__add__`."""
        if self.rows == other.rows:
            return RowResiduals(self.residuals + other.residuals, self.rows, self.batch)
        everything = tuple(range(self.batch))
        return RowResiduals(self.expand() + other.expand(), everything, self.batch)

    def expand(self) -> Residuals:
        """Returns residuals for the whole batch, with zeros in the other rows."""
        if self.all_rows:
            return self.residuals
        blocks = self.residuals.blocks
        return Residuals.of([None if b is None else self._scatter(b) for b in blocks])

    def locate(self) -> tuple[slice | None, Residuals]:
        """Returns rows that are neighbours, and what they get; None for all rows, with zeros where nothing is added."""
        place = None if self.all_rows else neighbours(self.rows)
        return place, self.expand() if place is None else self.residuals

    def without(self, blocks: Collection[int]) -> "RowResiduals":
        """As `Residuals.without`."""
        return RowResiduals(self.residuals.without(blocks), self.rows, self.batch)

    def _scatter(self, block: Tensor) -> Tensor:
        full = block.new_zeros((self.batch, *block.shape[1:]))
        place = neighbours(self.rows)
        if place is None:
            full[torch.tensor(self.rows, device=full.device)] = block
        else:  # nothing is copied to the device
            full[place] = block
        return full


def neighbours(rows: Sequence[int]) -> slice | None:
    """Returns rows as a slice, or None if they are not adjacent."""
    first, last = rows[0], rows[-1] + 1
    return slice(first, last) if list(rows) == list(range(first, last)) else None


def pool_over_space(residual: Tensor) -> Tensor:
    """Returns the mean of a residual (B, C, h, w) over height and width, in every place."""
    return residual.float().mean((2, 3), keepdim=True).to(residual.dtype).expand_as(residual)


def add_residual(feature: Tensor, residual: Tensor, block: str) -> Tensor:
    """Returns feature + residual, both (B, C, H, W), in the feature's dtype; raises as `fit_to_feature`."""
    return feature + fit_to_feature(residual, feature, block)


def add_residual_(feature: Tensor, residual: Tensor) -> Tensor:
    """Returns feature + residual, in place if no gradients are recorded: nothing else reads the feature."""
    if torch.is_grad_enabled():
        return feature + residual
    feature += residual
    return feature


def fit_to_feature(residual: Tensor, feature: Tensor, block: str) -> Tensor:
    """Returns a residual ready to add to a feature map, both (B, C, H, W), in the feature's dtype.

    Raises:
        ValueError: another batch, width, size or device; the message names both sides.
    """
    if residual.shape != feature.shape or residual.device != feature.device:
        raise ValueError(
            f"The ControlNet's residual for {block} is {_describe(residual)}, but the UNet's feature map there is "
            f"{_describe(feature)}. {_advice(residual, feature)}"
        )
    return residual if residual.dtype == feature.dtype else residual.to(feature.dtype)


def _sum(a: Tensor | None, b: Tensor | None, index: int) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    if a.shape != b.shape or a.device != b.device:
        raise ValueError(
            f"The residuals of two ControlNets for block {index} cannot be added: one is {_describe(a)}, the other "
            f"{_describe(b)}."
        )
    return a + b


def _advice(residual: Tensor, feature: Tensor) -> str:
    same_but_size = residual.shape[:2] == feature.shape[:2] and residual.device == feature.device
    if same_but_size:
        return "Only the sizes differ: a hook or patch resizes the UNet's features. Remove it while control is on."
    return "The ControlNet and the UNet must be of one family (SD1.x, SD2.x or SDXL)."


def _describe(tensor: Tensor) -> str:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return f"{'x'.join(map(str, tensor.shape))} ({dtype} on {tensor.device})"
