"""HintRouting: gains by branch, for any row layout."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from cnet_core import HintRouting

#: What the front end's diagram must say as well; its numbers are worked out by hand.
GOLDEN = json.loads((Path(__file__).parents[2] / "target_gains.json").read_text())["cases"]
LAYOUTS = {
    "both": (HintRouting.both(), ("uncond", "cond"), None, (1, 1)),
    "cond only": (HintRouting.cond_only(), ("uncond", "cond"), None, (0, 1)),
    "cond first": (HintRouting.cond_only(), ("cond", "uncond"), None, (1, 0)),
    "three rows": (HintRouting.cond_only(), ("cond", "uncond", "cond"), None, (1, 0, 1)),
    "no guidance": (HintRouting.cond_only(), ("cond",), None, (1,)),
    "uncond only": (HintRouting.uncond_only(), ("uncond", "cond"), None, (1, 0)),
    "weighted": (HintRouting.weighted(0.8, 0.3), ("uncond", "cond"), None, (0.3, 0.8)),
    "target gain": (HintRouting.target_gain(2), ("uncond", "cond"), 7.5, (5.5 / 6.5, 1)),
    "target gain = scale": (HintRouting.target_gain(7.5), ("uncond", "cond"), 7.5, (0, 1)),
    "target gain, no uncond": (HintRouting.target_gain(2), ("cond", "cond"), 7.5, (2, 2)),
    "target gain at scale 1": (HintRouting.target_gain(2), ("uncond", "cond"), 1.0, (0, 2)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_gains(name: str) -> None:
    routing, rows, scale, expected = LAYOUTS[name]
    assert routing.gains(rows, scale) == pytest.approx(expected)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['target']} at {case['cfg']}")
def test_target_gain_has_the_gains_worked_out_by_hand(case) -> None:
    gains = HintRouting.target_gain(case["target"]).gains(("cond", "uncond"), case["cfg"])
    assert gains == pytest.approx((case["cond"], case["uncond"]), abs=1e-12)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.001, 1.2, 1.5, 4.0, 7.5, 15.0])
@pytest.mark.parametrize("wanted", [-1.0, 0.5, 1.0, 2.0, 5.0])
def test_target_gain_makes_the_total_gain_of_guidance(scale: float, wanted: float) -> None:
    uncond, cond = HintRouting.target_gain(wanted).gains(("uncond", "cond"), scale)
    assert uncond + scale * (cond - uncond) == pytest.approx(wanted)


@pytest.mark.parametrize("wanted", [-1.0, 0.5, 2.0, 5.0])
def test_target_gain_stays_bounded_and_has_no_jump_near_scale_one(wanted: float) -> None:
    routing, scales = HintRouting.target_gain(wanted), [1 + k / 100 for k in range(1, 100)]
    gains = [routing.gains(("uncond", "cond"), scale) for scale in scales]
    assert max(abs(gain) for pair in gains for gain in pair) <= 2 * abs(wanted) + 3
    jumps = [abs(b - a) for (_, a), (_, b) in pairwise([(0.0, wanted), *gains])]
    assert max(jumps) <= 0.02 * abs(1 - wanted) + 1e-9


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gains_must_be_finite(bad: float) -> None:
    for make in (HintRouting.weighted, HintRouting.target_gain):
        with pytest.raises(ValueError, match="finite"):
            make(bad)


def test_bad_rows_and_missing_scale_are_named() -> None:
    with pytest.raises(ValueError, match="'cond' or 'uncond'"):
        HintRouting.both().gains(("positive",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="set `cfg_scale`"):
        HintRouting.target_gain().gains(("uncond", "cond"))
