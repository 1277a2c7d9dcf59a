"""Windows: which of ten steps have control."""

import math

import pytest
import torch
from fake_hosts import FakeDiffusersUNet, known_call, known_unit

import cnet_core as cn
from cnet_core.control.clock import SigmaClock, TimestepClock, percent_of

ALL = list(range(10))


@pytest.mark.parametrize(
    ("window", "start", "end", "steps"),
    [
        (cn.Window.diffusers(), 0.0, 1.0, ALL),
        (cn.Window.diffusers(), 0.2, 0.75, [2, 3, 4, 5, 6]),  # step 7 ends at 0.8
        (cn.Window.webui(), 0.0, 1.0, ALL),
        (cn.Window.webui(), 0.2, 0.7, [2, 3, 4, 5, 6, 7]),  # both ends in
        (cn.Window.webui(), 0.25, 0.75, [3, 4, 5, 6, 7]),
        (cn.Window.invoke(), 0.25, 0.75, [2, 3, 4, 5, 6, 7, 8]),  # floor(2.5) to ceil(7.5)
        (cn.Window.invoke(), 0.0, 0.0, [0]),
        (cn.Window.diffusers(), 0.0, 0.0, []),
    ],
)
def test_counted_windows(window: cn.Window, start: float, end: float, steps: list[int]) -> None:
    found = [window.active(start, end, TimestepClock(torch.zeros(2), (i, 10))) for i in ALL]
    assert found == [(i in steps,) * 2 for i in ALL]


@pytest.mark.parametrize(
    ("start", "end", "inside"),
    [
        (0.0, 1.0, [True, True, True]),
        (0.25, 0.5, [False, True, False]),
        (0.0, 0.5, [True, True, False]),
    ],
)
def test_the_training_window_has_both_ends_in_and_never_cuts_the_run_off(
    start, end, inside
) -> None:
    clock = TimestepClock(torch.tensor([1000.0, 499.5, -1.0]))
    assert list(cn.Window.training().active(start, end, clock)) == inside


def percent_to_sigma(percent: float) -> float:
    """Falls from 10 to 0, and ends as ComfyUI's do."""
    if percent <= 0:
        return 999999999.9
    return 0.0 if percent >= 1 else 10 * (1 - percent) ** 2


@pytest.mark.parametrize(
    ("sigma", "start", "end", "inside"),
    [
        (1e6, 0.0, 1.0, True),
        (0.0, 0.0, 1.0, True),
        (percent_to_sigma(0.3), 0.3, 0.6, True),
        (percent_to_sigma(0.6), 0.3, 0.6, True),
        (percent_to_sigma(0.3) + 1e-6, 0.3, 0.6, False),
        (percent_to_sigma(0.6) - 1e-6, 0.3, 0.6, False),
        (percent_to_sigma(0.5), 0.6, 0.3, False),
    ],
    ids=["begin", "end", "on start", "on end", "before", "after", "empty"],
)
def test_hosts_that_count_in_noise_levels_decide_on_them(
    sigma: float, start: float, end: float, inside: bool
) -> None:
    clock = SigmaClock(sigma, percent_to_sigma, rows=3)
    assert cn.Window.training().active(start, end, clock) == (inside,) * 3


@pytest.mark.parametrize("percent", [0.1, 0.25, 0.5, 0.9])
def test_a_noise_level_is_turned_back_into_its_percent(percent: float) -> None:
    sigma = percent_to_sigma(percent)
    assert percent_of(sigma, percent_to_sigma) == pytest.approx(percent, abs=1e-6)
    clock = SigmaClock(sigma, percent_to_sigma, rows=2)
    assert clock.percents == pytest.approx((percent,) * 2, abs=1e-6)


def test_a_window_that_counts_needs_the_step_only_if_it_cuts() -> None:
    whole, part = (known_unit(window=cn.Window.diffusers(), end_percent=end) for end in (1.0, 0.5))
    unet = FakeDiffusersUNet()
    with cn.patch_unet(unet, whole):
        unet(*known_call())
    with cn.patch_unet(unet, part), pytest.raises(ValueError, match=r"set `step = \(i, n\)`"):
        unet(*known_call())


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="'steps'"):
        cn.Window("steps")


@pytest.mark.parametrize("start", [k / 1000 for k in range(0, 1000, 7)])
def test_limits_are_rounded_as_in_comfyui(start: float) -> None:
    """ComfyUI compares a float32 noise level with the limit, which torch rounds to float32. Here as for Flux."""

    def percent_to_sigma(percent: float) -> float:
        if percent <= 0:
            return 1.0
        return math.exp(1.15) / (math.exp(1.15) + (1 / (1 - percent) - 1)) if percent < 1 else 0.0

    limit = percent_to_sigma(start)
    sigma = torch.tensor(limit, dtype=torch.float32)
    clock = SigmaClock(float(sigma), percent_to_sigma, rows=1)
    assert clock.within(start, 1.0) == (not bool(sigma > limit),)
    assert clock.within(0.0, start) == (not bool(sigma < limit),)
