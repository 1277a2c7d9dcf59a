"""A UnitSpec around a small net."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import fakes
import torch

Part = Callable[[str], ModuleType]


class NetSource:
    """A source around a small net."""

    def __init__(self) -> None:
        self.net = fakes.small_net()
        self.hint_channels = 3
        self.check_types = self.net.check_types
        self.key = "small"
        self.config = self.net.config
        self.patchers = ()

    def open(self, base_model: object, loaded: object) -> Any:
        """Returns the net."""
        return self.net


def spec(part: Part, **changes: Any) -> Any:
    """A spec of small pictures."""
    core = part("cnet_core")
    values = {
        "source": NetSource(),
        "image": torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0)),
        "strength": 1.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
        "routing": core.HintRouting.both(),
        "scales": core.BlockScales.uniform(),
    }
    return part("cnet_core.hosting").UnitSpec(**{**values, **changes})
