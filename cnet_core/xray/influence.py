"""Influence: how much each block contributes to a prediction, measured by leaving out one block at a time."""

from collections.abc import Callable
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


def influence_of(predict: PredictWithout, blocks: int) -> Influence:
    """Returns the influence of each of `blocks` blocks; calls `predict` once per block and twice more."""
    whole = _precise(predict(frozenset()))
    none = _precise(predict(frozenset(range(blocks))))
    effect = _norm(whole - none)
    changes = [_norm(whole - _precise(predict(frozenset({block})))) for block in range(blocks)]
    shares = tuple(change / effect if effect else 0.0 for change in changes)
    return Influence(shares, effect / _norm(none))


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
    if not attachment.units:
        raise ValueError("The Attachment has no units, so there is no block to leave out.")
    config = attachment.units[0].net.config

    def without(blocks: frozenset[int]) -> Tensor:
        with attachment.leave_out(blocks):
            return predict()

    return influence_of(without, len(config.block_sizes(8, 8)))
