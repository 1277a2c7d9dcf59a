"""Influence: how much each block contributes to a prediction, measured by leaving out one block at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..patching import Attachment

#: Blocks whose residuals are left out -> the prediction.
PredictWithout = Callable[[frozenset[int]], Tensor]


@dataclass(frozen=True)
class Influence:
    """How much a prediction changes when a block's residual is left out.

    Attributes:
        blocks: |p - p without the block| / |p - p without control|, shallow to deep, middle last. They do not add up
            to 1, since blocks affect each other.
        total: |p - p without control| / |p without control|.
    """

    blocks: tuple[float, ...]
    total: float


class Effect:
    """Control's effect on one prediction, and how much of it is lost without some blocks.

    Attributes:
        total: as Influence.total.
    """

    def __init__(self, predict: PredictWithout, blocks: int) -> None:
        self._predict = predict
        self._whole = _precise(predict(frozenset()))
        none = _precise(predict(frozenset(range(blocks))))
        self._size = _norm(self._whole - none)
        self.total = self._size / _norm(none)

    def share_without(self, blocks: Iterable[int]) -> float:
        """Returns |p - p without these blocks| / |p - p without control|; 0 if control has no effect."""
        change = _norm(self._whole - _precise(self._predict(frozenset(blocks))))
        return change / self._size if self._size else 0.0

    def by_block(self, blocks: int) -> "Influence":
        """Returns the influence of each of `blocks` blocks; calls `predict` once per block."""
        return Influence(tuple(self.share_without({b}) for b in range(blocks)), self.total)


def influence_of(predict: PredictWithout, blocks: int) -> Influence:
    """Returns the influence of each of `blocks` blocks; calls `predict` once per block and twice more."""
    return Effect(predict, blocks).by_block(blocks)


def _precise(prediction: Tensor) -> Tensor:
    return prediction.cpu().double()  # not every device has float64


def _norm(tensor: Tensor) -> float:
    return float(cast(Tensor, torch.linalg.vector_norm(tensor)))


def leave_one_out(attachment: "Attachment", predict: Callable[[], Tensor]) -> Influence:
    """Returns the influence of each block on what `predict` returns; without recording it.

    Args:
        attachment: from `patch_unet`, still attached.
        predict: runs the UNet, for example for the guided prediction of the last step; the same each time.

    Raises:
        ValueError: nothing is attached.
    """
    blocks = count_blocks(attachment)
    return influence_of(leave_out_of(attachment, predict), blocks)


def count_blocks(attachment: "Attachment") -> int:
    """Returns how many blocks the controls on a UNet have. Raises ValueError if nothing is attached."""
    if not attachment.units:
        raise ValueError("The Attachment has no units, so there is no block to leave out.")
    return len(attachment.units[0].net.config.block_sizes(8, 8))


def leave_out_of(attachment: "Attachment", predict: Callable[[], Tensor]) -> PredictWithout:
    """Returns `predict` as a function of the blocks that are left out."""

    def without(blocks: frozenset[int]) -> Tensor:
        with attachment.leave_out(blocks):
            return predict()

    return without
