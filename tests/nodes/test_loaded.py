"""LoadedNet: on which device its layers find their weights."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
import torch
from fakes import call_inputs, random_hint, small_net
from torch import nn

Part = Callable[[str], ModuleType]


class Layer(nn.Linear):
    """Has the switch that ComfyUI's layers have."""

    comfy_cast_weights = False
    weight_function = ()


def test_a_pooled_net_gives_one_value_a_channel(part: Part) -> None:
    """Through the parts that a run uses: source, stack, residuals."""
    net = small_net()
    net.pooled = True
    loaded = part("nodes.comfyui.loaded").LoadedNet(net, None, torch.float32)
    core = part("cnet_core")
    x, timesteps, context = call_inputs()
    call = core.UNetCall(
        x, timesteps, context, None, part("cnet_core.control.rows").rows_of(("cond",), 2)
    )
    found = core.ControlStack([core.ControlUnit(loaded, random_hint())]).residuals(call)
    spread = found.skips[0].flatten(2).std(2)
    assert float(spread.max()) < 1e-6


@pytest.mark.parametrize(("device", "casts"), [("cpu", False), ("meta", True)])
def test_layers_bring_their_weights_to_a_model_on_another_device(
    part: Part, device: str, casts: bool
) -> None:
    net = nn.Sequential(Layer(2, 2), nn.SiLU())
    patcher = SimpleNamespace(model=net, load_device=torch.device("cpu"))
    opened = (
        part("nodes.comfyui.loaded")
        .LoadedNet(net, patcher, torch.float32)
        .open(SimpleNamespace(device=torch.device(device)), [patcher])
    )
    assert opened.net[0].comfy_cast_weights == casts


@pytest.mark.parametrize(
    ("name", "value"), [("comfy_cast_weights", True), ("weight_function", [torch.neg])]
)
def test_layers_that_cast_or_patch_their_weights_at_each_call_are_no_plain_ones(
    part: Part, name: str, value: object
) -> None:
    loaded = part("nodes.comfyui.loaded")
    net = nn.Sequential(Layer(2, 2), nn.SiLU())
    assert loaded.uses_plain_weights(net)
    setattr(net[0], name, value)
    assert not loaded.uses_plain_weights(net)
