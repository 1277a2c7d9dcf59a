"""Runs are found again by the latents that they made."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

Part = Callable[[str], ModuleType]


def latents(seed: int, side: int = 8) -> Tensor:
    """Random latents."""
    return torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed))


def recorder(part: Part, sigma: float) -> Any:
    """A recorder of one call at a noise level."""
    xray = part("cnet_core.xray")
    found = xray.Recorder()
    found.add(xray.Watch(position=sigma, rows=(part("cnet_core").Row("cond"),)))
    return found


def filled(part: Part, seeds: range) -> Any:
    """A history of runs whose noise level is 10 - their seed."""
    history = part("nodes.comfyui.history").History()
    for seed in seeds:
        history.add(
            recorder(part, 10 - seed), lambda percent: 10 * (1 - percent), latents(seed), None
        )
    return history


def percent(past: Any) -> float:
    """Returns how far the recorded run was, which tells runs apart."""
    return past.record.percents[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_latents_find_their_run_also_in_half_precision(part: Part, dtype: torch.dtype) -> None:
    history = filled(part, range(1, 5))
    assert percent(history.of(latents(3).to(dtype))) == pytest.approx(0.3, abs=1e-6)


def test_of_equal_latents_the_last_run_counts(part: Part) -> None:
    history = filled(part, range(1, 3))
    history.add(recorder(part, 5.0), lambda percent: 10 * (1 - percent), latents(1), None)
    assert percent(history.of(latents(1))) == pytest.approx(0.5, abs=1e-6)


def test_of_runs_that_may_not_keep_their_replay_the_last_one_does(part: Part) -> None:
    """A replay holds the ControlNets of its run, and a MODEL may live longer than they."""
    history = part("nodes.comfyui.history").History(replays=1)
    for seed in range(1, 4):
        history.add(recorder(part, 5.0), lambda percent: 10 * (1 - percent), latents(seed), seed)
    found = [history.of(latents(seed)) for seed in range(1, 4)]
    assert [past.replay for past in found] == [None, None, 3]
    assert [past.replaced for past in found] == [True, True, False]


@pytest.mark.parametrize(
    "other", [latents(9), latents(1, side=16), 1.1 * latents(1)], ids=["other", "size", "changed"]
)
def test_other_latents_are_refused(part: Part, other: Tensor) -> None:
    with pytest.raises(ValueError, match="do not come from a sampler"):
        filled(part, range(1, 3)).of(other)


def test_old_runs_are_forgotten(part: Part) -> None:
    kept = part("nodes.comfyui.history").KEPT
    history = filled(part, range(kept + 2))
    with pytest.raises(ValueError, match=f"last {kept} runs"):
        history.of(latents(1))
    assert percent(history.of(latents(2))) == pytest.approx(0.2, abs=1e-6)
