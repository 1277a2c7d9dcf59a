"""RouteSettings: what Route ControlNet says of a ControlNet before its picture is known."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ...cnet_core import BlockScales, FrameStrengths, HintRouting
from ...cnet_core.hosting import AUTO


@dataclass(frozen=True)
class RouteSettings:
    """The settings of a ControlNet that travel with it; what is at its default is left to an earlier node."""

    routing: HintRouting | None = None
    scales: BlockScales | None = None
    mask: Tensor | None = field(default=None, compare=False)  # (H, W) or (N, H, W), 0..1
    reuse_tolerance: float = 0.0
    control_type: str = AUTO
    frame_strengths: FrameStrengths | None = None

    def over(self, earlier: "RouteSettings") -> "RouteSettings":
        """Returns these settings, with those of an earlier node where they are at their default."""
        return RouteSettings(
            routing=earlier.routing if self.routing is None else self.routing,
            scales=earlier.scales if self.scales is None else self.scales,
            mask=earlier.mask if self.mask is None else self.mask,
            reuse_tolerance=self.reuse_tolerance or earlier.reuse_tolerance,
            control_type=earlier.control_type if self.control_type == AUTO else self.control_type,
            frame_strengths=self.frame_strengths or earlier.frame_strengths,
        )

    def values(self) -> dict[str, Any]:
        """Returns them as arguments of a UnitSpec."""
        return {
            "routing": HintRouting.both() if self.routing is None else self.routing,
            "scales": BlockScales.uniform() if self.scales is None else self.scales,
            "mask": self.mask,
            "reuse_tolerance": self.reuse_tolerance,
            "control_type": self.control_type,
            "frame_strengths": self.frame_strengths,
        }
