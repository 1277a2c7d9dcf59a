"""PatchSpec: where and when the control patches of a MODEL act."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ....cnet_core import BlockScales, HintRouting
from ....cnet_core.control.axis import BlockAxis
from ....cnet_core.control.windows import Window
from ..step import find_step
from .kinds import PatchKind


@dataclass(frozen=True)
class PatchSpec:
    """The settings of control patches; strength stays with the patch."""

    routing: HintRouting
    scales: BlockScales
    start_percent: float = 0.0
    end_percent: float = 1.0
    strength: float = 1.0
    window: Window = field(default_factory=Window.training)

    @property
    def needs_branches(self) -> bool:
        """Whether cond and uncond rows get different gains."""
        return self.routing.needs_branches

    def block_scales(self, blocks: int) -> tuple[float, ...]:
        """Returns the scale of each block of a net, in the model's order.

        Raises:
            ValueError: `custom` has another number of scales, or the profile needs blocks with sizes.
        """
        axis = BlockAxis.of_tokens(blocks)
        return self.scales.along(axis.take(range(blocks)[::-1]))[::-1]


@dataclass(frozen=True)
class PatchControl:
    """The settings of one control patch at work."""

    spec: PatchSpec
    kind: PatchKind
    net: Any
    scales: tuple[float, ...]  # of its blocks, in the model's order

    def gains(self, options: Mapping[str, Any], features: Tensor) -> tuple[float, ...]:
        """Returns the gain of each row of a call of the model."""
        return find_step(options).gains(self.spec, options, features)

    def scale(self, call: Mapping[str, Any]) -> float:
        """Returns the scale of the block that a call adds; 1 where it adds none, which the patch answers itself."""
        block = self.kind.block(self.net, call)
        return self.scales[block] if block < len(self.scales) else 1.0

    def idle(self, weights: list[float]) -> bool:
        """Whether a call with these weights of the wanted rows changes nothing."""
        return not weights or not (self.kind.chained or any(weights))
