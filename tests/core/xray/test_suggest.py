"""Suggested scales: blocks that change no prediction by the bound, alone and together, get 0."""

from collections.abc import Sequence

import pytest
import torch
from fakes import call_inputs, random_hint, small_net, small_unet
from torch import Tensor

import cnet_core as cn
from cnet_core.xray import suggest_from


def adding_up(parts: Sequence[float]):
    """A prediction to which each block adds a vector of this length, at right angles to all others."""

    def predict(left_out: frozenset[int]) -> Tensor:
        return torch.tensor([0.0 if b in left_out else part for b, part in enumerate(parts)] + [1])

    return predict


#: Lengths with a whole effect of 1 at both steps: 0.8, 0.6; squares of what is left out add up.
EARLY = (0.03, 0.8, 0.6, 0.04, 0.0)
LATE = (0.6, 0.8, 0.03, 0.0, 0.02)


@pytest.mark.parametrize(
    ("steps", "bound", "dropped", "predicted"),
    [
        ([EARLY], 0.06, (0, 3, 4), 0.05),
        ([EARLY], 0.045, (0, 4), 0.03),
        ([EARLY], 0.01, (4,), 0.0),
        ([EARLY, LATE], 0.06, (3, 4), 0.04),
        ([LATE], 0.01, (3,), 0.0),
    ],
    ids=["all below", "two are too much", "none but the idle", "either step counts", "late alone"],
)
def test_blocks_below_the_bound_are_dropped_as_long_as_they_stay_below_it_together(
    steps: list, bound: float, dropped: tuple, predicted: float
) -> None:
    found = suggest_from([adding_up(step) for step in steps], 5, bound)
    assert found.dropped == dropped
    assert found.predicted == pytest.approx(predicted, rel=0.01, abs=1e-6)
    assert len(found.influences) == len(steps)


def test_scales_are_those_in_use_and_the_net_ends_at_its_last_block() -> None:
    found = suggest_from([adding_up((0.8, 0.01, 0.6, 0.01, 0.02))], 5, 0.05)
    assert found.dropped == (1, 3, 4)
    assert found.scales() == (1, 0, 1, 0, 0)
    assert found.text((0.5, 1, 0.25, 1, 1)) == "0.5, 0, 0.25, 0, 0"
    assert (found.blocks, found.computed) == (5, 3)
    nothing = suggest_from([adding_up((0.0, 0.0))], 2)
    assert (nothing.dropped, nothing.computed) == ((0, 1), 0)


def test_the_prediction_with_the_suggested_scales_changes_as_predicted() -> None:
    unet, inputs = small_unet(), call_inputs()
    unit = cn.ControlUnit(small_net(), random_hint())
    with cn.patch_unet(unet, unit) as control, torch.no_grad():
        found = cn.xray.suggest_scales(control, [lambda: unet(*inputs)], bound=0.3)
        whole = unet(*inputs)
        assert control.record.calls  # of the last call alone
    assert 0 < len(found.dropped) < found.blocks
    scales = cn.BlockScales.custom(found.scales())
    with cn.patch_unet(unet, cn.ControlUnit(small_net(), random_hint(), scales=scales)):
        dropped = unet(*inputs)
    effect = (whole - unet(*inputs)).norm()
    assert float((whole - dropped).norm() / effect) == pytest.approx(found.predicted, rel=1e-3)
    assert found.predicted <= 0.3


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="an early, a middle and a late step"):
        suggest_from([], 3)
    with pytest.raises(ValueError, match="`bound` is 5; it must lie between 0 and 1"):
        suggest_from([adding_up((1.0,))], 1, 5)
    with cn.patch_unet(small_unet(), []) as control, pytest.raises(ValueError, match="no units"):
        cn.xray.suggest_scales(control, [lambda: torch.zeros(1)])
