"""LoadedNet: on which device its layers find their weights."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

Part = Callable[[str], ModuleType]


class Layer(nn.Linear):
    """Has the switch that ComfyUI's layers have."""

    comfy_cast_weights = False


@pytest.mark.parametrize(("device", "casts"), [("cpu", False), ("meta", True)])
def test_layers_bring_their_weights_to_a_model_on_another_device(
    part: Part, device: str, casts: bool
) -> None:
    net = nn.Sequential(Layer(2, 2), nn.SiLU())
    patcher = SimpleNamespace(model=net, load_device=torch.device("cpu"))
    opened = (
        part("nodes.bridge.loaded")
        .LoadedNet(net, patcher, torch.float32)
        .open(SimpleNamespace(device=torch.device(device)), [patcher])
    )
    assert opened.net[0].comfy_cast_weights == casts
