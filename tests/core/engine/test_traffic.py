"""Within a run nothing is brought to the device or fetched from it: the host runs ahead of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from fakes import call_inputs, random_hint, small_net
from torch.utils._python_dispatch import TorchDispatchMode

import cnet_core as cn
from cnet_core.control.clock import SigmaClock
from cnet_core.control.rows import rows_of

#: A number is waited for; a new tensor of numbers is sent.
WAITS, SENDS = "aten._local_scalar_dense.default", "aten.lift_fresh.default"


class Traffic(TorchDispatchMode):
    """Notes every operation between the host and the device of the tensors, as it is on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs=None) -> Any:
        moves = str(func) == "aten._to_copy.default" and (kwargs or {}).get("device") is not None
        if moves or str(func) in (WAITS, SENDS):
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


SETTINGS = {
    "both": {},
    "cond only": {"routing": cn.HintRouting.cond_only()},
    "weighted": {"routing": cn.HintRouting.weighted(1.0, 0.5)},
    "target gain, window, time curve": {
        "routing": cn.HintRouting.target_gain(2.0),
        "start_percent": 0.1,
        "end_percent": 0.9,
        "scales": cn.BlockScales.soft().over_time([(0.0, 1.0), (1.0, 0.5)]),
    },
    "a mask and a hint for each picture": {
        "hint": random_hint(count=2),
        "mask": torch.ones(2, 16, 16),
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_after_the_first_waits_for_nothing_and_sends_nothing(name: str) -> None:
    stack, call = _at_work(name, "cpu")
    with Traffic() as traffic:
        assert stack.residuals(call) is not None
    assert traffic.seen == []


@pytest.mark.cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("name", SETTINGS)
def test_a_gpu_is_not_waited_for(name: str) -> None:
    stack, call = _at_work(name, "cuda")
    try:
        torch.cuda.set_sync_debug_mode("error")
        assert stack.residuals(call) is not None
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _at_work(name: str, device: str) -> tuple[cn.ControlStack, cn.UNetCall]:
    """After the first step. The host knows the noise level, as ComfyUI does; else a window would fetch the timestep."""
    net = small_net().to(device)
    stack = cn.ControlStack(
        [cn.ControlUnit(**{"net": net, "hint": random_hint(), **SETTINGS[name]})]
    )
    x, timesteps, context = (t.to(device) for t in call_inputs(rows=4))
    rows = rows_of(("uncond", "cond"), 4)
    clock = SigmaClock(5.0, lambda percent: 10 * (1 - percent), rows=4)
    call = cn.UNetCall(x, timesteps, context, None, rows, 7.5, host_clock=clock)
    stack.residuals(call)
    return stack, call


def test_what_is_counted_as_traffic() -> None:
    with Traffic() as traffic:
        torch.ones(2).sum().item()
        torch.tensor([1, 2])
    assert traffic.seen == [WAITS, SENDS]


def test_reuse_waits_once_a_step() -> None:
    unit = cn.ControlUnit(small_net(), random_hint(), reuse_tolerance=10)
    stack = cn.ControlStack([unit])
    x, timesteps, context = call_inputs()
    call = cn.UNetCall(x, timesteps, context, None, rows_of(("uncond", "cond"), 2))
    stack.residuals(call)
    with Traffic() as traffic:
        stack.residuals(call)
    assert len(traffic.seen) <= len(x)  # `tolist` of a tensor on the CPU reads one number at a time
