"""Windows: which of ten steps have control."""

import pytest
from fake_hosts import FakeDiffusersUNet, known_call, known_unit

import cnet_core as cn

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
    assert [i for i in ALL if window.active(start, end, 0.0, (i, 10))] == steps


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
    percents = [-0.001, 0.5, 1.001]
    assert [cn.Window.training().active(start, end, percent) for percent in percents] == inside


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
