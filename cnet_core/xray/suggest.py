"""Suggested scales: blocks that change the prediction little at any part of the run get 0."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .influence import Effect, Influence, PredictWithout, count_blocks, leave_out_of

if TYPE_CHECKING:
    from ..patching import Attachment

#: The largest change by default, as a share of the control's effect.
BOUND = 0.05


@dataclass(frozen=True)
class Suggestion:
    """Which blocks can get 0, and what that changes.

    Attributes:
        dropped: the blocks, from the shallowest; the last block of a net is its middle.
        predicted: |p - p without them| / |p - p without control|, the largest of the steps that were looked at.
        influences: of each block, at each of these steps.
    """

    dropped: tuple[int, ...]
    predicted: float
    influences: tuple[Influence, ...]

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self.influences[0].blocks)

    @property
    def computed(self) -> int:
        """How many blocks a net still computes: those up to the deepest that adds something."""
        kept = [block for block in range(self.blocks) if block not in self.dropped]
        return kept[-1] + 1 if kept else 0

    def scales(self, current: Sequence[float] | None = None) -> tuple[float, ...]:
        """Returns the scales: those in use, and 0 for the dropped blocks.

        Args:
            current: the scales in use; None for 1 everywhere.
        """
        given = (1.0,) * self.blocks if current is None else current
        return tuple(0.0 if i in self.dropped else scale for i, scale in enumerate(given))

    def text(self, current: Sequence[float] | None = None) -> str:
        """Returns the scales as a text for `custom_scales`."""
        return ", ".join(f"{scale:.4g}" for scale in self.scales(current))


def suggest_from(
    predictions: Sequence[PredictWithout], blocks: int, bound: float = BOUND
) -> Suggestion:
    """Returns the suggestion from predictions at several steps, best an early, a middle and a late one.

    Of the blocks that change no prediction by `bound` or more, those with the largest changes are kept until the rest
    together change no prediction by more than `bound`.

    Args:
        predictions: each is called once per block, twice more, and once for each set of blocks that is tried.
        blocks: of the net.
        bound: a share of the control's effect on a prediction.

    Raises:
        ValueError: no predictions, or a bound outside 0..1.
    """
    if not predictions:
        raise ValueError(
            "`predictions` is empty; give those of an early, a middle and a late step."
        )
    if not 0 < bound < 1:
        raise ValueError(
            f"`bound` is {bound}; it must lie between 0 and 1, such as 0.05 for 5 % of the effect."
        )
    effects = [Effect(predict, blocks) for predict in predictions]
    influences = tuple(effect.by_block(blocks) for effect in effects)
    largest = [max(found.blocks[block] for found in influences) for block in range(blocks)]
    order = sorted((b for b in range(blocks) if largest[b] < bound), key=lambda b: largest[b])
    while order and _change(effects, order) > bound:
        order.pop()
    return Suggestion(tuple(sorted(order)), _change(effects, order) if order else 0.0, influences)


def suggest_scales(
    attachment: "Attachment", predict: Sequence[Callable[[], Tensor]], bound: float = BOUND
) -> Suggestion:
    """Returns which blocks of the controls on a UNet can get 0; nothing is recorded.

    Args:
        attachment: from `patch_unet`, still attached.
        predict: as for `leave_one_out`, one for each step, best an early, a middle and a late one.
        bound: as for `suggest_from`.

    Raises:
        ValueError: nothing is attached, no predictions, or a bound outside 0..1.
    """
    blocks = count_blocks(attachment)
    return suggest_from([leave_out_of(attachment, step) for step in predict], blocks, bound)


def _change(effects: Sequence[Effect], dropped: Sequence[int]) -> float:
    return max(effect.share_without(dropped) for effect in effects)
