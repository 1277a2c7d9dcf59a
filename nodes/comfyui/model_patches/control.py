"""PatchControl: one control patch of a MODEL at work, and the scales of its blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ....cnet_core import BlockScales
from ....cnet_core.control.axis import BlockAxis
from ..gain_settings import GainSettings
from ..step import find_step
from .kinds import PatchKind


@dataclass(frozen=True)
class PatchControl:
    """The settings of one control patch at work."""

    settings: GainSettings
    kind: PatchKind
    net: Any
    scales: tuple[float, ...]  # of its blocks, in the model's order

    def gains(self, options: Mapping[str, Any], features: Tensor) -> tuple[float, ...]:
        """Returns the gain of each row of a call of the model."""
        return find_step(options).gains(self.settings, options, features)

    def scale(self, call: Mapping[str, Any]) -> float:
        """Returns the scale of the block that a call adds; 1 where it adds none, which the patch answers itself."""
        block = self.kind.block(self.net, call)
        return self.scales[block] if block < len(self.scales) else 1.0

    def is_idle(self, weights: list[float]) -> bool:
        """Whether a call with these weights of the wanted rows changes nothing."""
        return not weights or not (self.kind.chained or any(weights))


def block_scales(scales: BlockScales, blocks: int) -> tuple[float, ...]:
    """Returns the scale of each block of a net, in the model's order.

    Raises:
        ValueError: `custom` has another number of scales, or the profile needs blocks with sizes.
    """
    axis = BlockAxis.of_tokens(blocks)
    return scales.along(axis.take(range(blocks)[::-1]))[::-1]
