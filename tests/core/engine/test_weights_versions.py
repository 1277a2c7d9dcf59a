"""What was kept of a net between calls is dropped when its weights change, however they change."""

from collections.abc import Callable

import pytest
import torch
from fakes import SMALL, call_inputs, random_hint, randomise_, small_net

import cnet_core as cn
from cnet_core.control.rows import rows_of

OTHER = small_net(seed=5).state_dict()


def step_optimizer(net: cn.ControlNet) -> None:
    optimizer = torch.optim.AdamW(net.requires_grad_(True).parameters())
    net(call_inputs()[0], random_hint(), *call_inputs()[1:]).middle.sum().backward()
    optimizer.step()


def load_in_place(net: cn.ControlNet) -> None:
    net.load_state_dict(OTHER)


def assign(net: cn.ControlNet) -> None:
    net.load_state_dict(OTHER, assign=True)


def replace_one(net: cn.ControlNet) -> None:
    conv = net.input_hint_block[0]
    conv.weight = torch.nn.Parameter(2 * conv.weight.detach())


CHANGES = [step_optimizer, load_in_place, assign, replace_one]


@pytest.mark.parametrize("tolerance", [0, 10], ids=["every step computed", "residuals reused"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_stale_is_used_after_a_change(
    change: Callable[[cn.ControlNet], None], tolerance: float
) -> None:
    net = small_net()
    stack = cn.ControlStack([cn.ControlUnit(net, random_hint(), reuse_tolerance=tolerance)])
    residuals_of(stack)
    change(net)
    fresh = cn.ControlStack([cn.ControlUnit(net, random_hint())])
    assert torch.equal(residuals_of(stack), residuals_of(fresh))
    assert stack.counts.hint_encodings == 2


@torch.no_grad()
def residuals_of(stack: cn.ControlStack) -> torch.Tensor:
    x, timesteps, context = call_inputs()
    rows = rows_of(["uncond", "cond"], len(x))
    return stack.residuals(cn.UNetCall(x, timesteps, context, None, rows)).middle


class Unread(cn.ControlNet):
    """A net whose weights are too many to be read at every call."""

    @property
    def weights_version(self) -> int:
        raise AssertionError("all weights were read")


def test_where_every_step_is_computed_a_call_reads_the_hint_encoder_s_weights_alone() -> None:
    net = randomise_(Unread(SMALL), 1)
    residuals_of(cn.ControlStack([cn.ControlUnit(net, random_hint())]))
    with pytest.raises(AssertionError, match="all weights"):
        residuals_of(cn.ControlStack([cn.ControlUnit(net, random_hint(), reuse_tolerance=10)]))


@pytest.mark.parametrize(
    "name", ["task_embedding", "transformer_layes.0.ln_1.bias", "spatial_ch_projs.weight"]
)
def test_a_unions_hint_features_follow_the_weights_of_its_types(name: str) -> None:
    net = randomise_(cn.UnionControlNet(SMALL), 1)
    before = net.hint_version
    with torch.no_grad():
        net.get_parameter(name).mul_(2)
    assert net.hint_version != before


def test_weights_behind_the_hint_encoder_leave_its_features_valid() -> None:
    net = small_net()
    hints, weights = net.hint_version, net.weights_version
    with torch.no_grad():
        net.zero_convs[0][0].weight.mul_(2)
    assert (net.hint_version, net.weights_version != weights) == (hints, True)
