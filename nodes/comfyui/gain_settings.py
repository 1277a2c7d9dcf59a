"""GainSettings: where and when control acts whose strength stays with another node: model patches and T2I-Adapters."""

from dataclasses import dataclass, field

from ...cnet_core import BlockScales, HintRouting
from ...cnet_core.control.windows import Window


@dataclass(frozen=True)
class GainSettings:
    """Routing, block scales and window of a control."""

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
