"""A routing with stages is one unit for each stage, with the stage's window."""

from dataclasses import replace

import pytest
import torch
from fakes import call_inputs, random_hint, small_net

import cnet_core as cn
from cnet_core.control.routing import parse_stages
from cnet_core.control.rows import rows_of

NET = small_net()
MODES = {
    "both": cn.HintRouting.both(),
    "cond_only": cn.HintRouting.cond_only(),
    "target_gain": cn.HintRouting.target_gain(2),
    "none": cn.HintRouting.none(),
}
TEXT = "0:both, 0.4:target_gain, 0.7:cond_only, 0.8:none"
STAGED = cn.HintRouting.over_time(parse_stages(TEXT, MODES))
#: Routing, start and end of the units that it stands for; the last stage has no unit.
WINDOWS = (("both", 0, 0.4), ("target_gain", 0.4, 0.7), ("cond_only", 0.7, 0.8))


def call(timesteps: list[float], rows=("uncond", "cond"), cfg: float | None = 7.5) -> cn.UNetCall:
    x, _, context = call_inputs(rows=len(timesteps))
    placed = rows_of(rows, len(timesteps))
    return cn.UNetCall(x, torch.tensor(timesteps), context, None, placed, cfg)


def blocks_of(residuals: cn.Residuals | None) -> tuple[torch.Tensor, ...]:
    return () if residuals is None else tuple(residuals.blocks)


def of_unit(**settings) -> cn.ControlStack:
    return cn.ControlStack([cn.ControlUnit(NET, random_hint(), **settings)])


@pytest.mark.parametrize(
    ("rows", "cfg"),
    [(("uncond", "cond"), 7.5), (("uncond", "cond"), 1.0), (("cond",), None)],
    ids=["guided", "at CFG 1", "no negative"],
)
@pytest.mark.parametrize("timestep", [999, 700, 500, 250, 100, 0])
def test_stages_equal_units_with_windows(timestep: float, rows, cfg: float | None) -> None:
    given = call([timestep] * 2, rows, cfg)
    units = [
        cn.ControlUnit(NET, random_hint(), routing=MODES[mode], start_percent=a, end_percent=b)
        for mode, a, b in WINDOWS
    ]
    found = of_unit(routing=STAGED).residuals(given)
    expected = cn.ControlStack(units).residuals(given)
    assert (found is None) == (expected is None) == (timestep < 200)
    for one, other in zip(blocks_of(found), blocks_of(expected), strict=True):
        assert torch.equal(one, other)


def test_at_the_percent_of_a_stage_two_units_act_but_one_stage() -> None:
    given, percent = call([500.0] * 2), 1 - 500 / 999
    stages = [(0.0, MODES["both"]), (percent, MODES["both"])]
    found = of_unit(routing=cn.HintRouting.over_time(stages)).residuals(given)
    windows = ((0.0, percent), (percent, 1.0))
    units = [cn.ControlUnit(NET, random_hint(), start_percent=a, end_percent=b) for a, b in windows]
    both = cn.ControlStack(units).residuals(given)
    torch.testing.assert_close(both.middle, 2 * found.middle)


def test_rows_of_different_times_have_their_own_stage() -> None:
    given = call([900, 400, 900, 250], ("uncond", "cond"))
    stack = of_unit(routing=cn.HintRouting.over_time([(0, MODES["both"]), (0.7, MODES["none"])]))
    found = stack.residuals(given)
    assert [bool(found.middle[row].any()) for row in range(4)] == [True, True, True, False]
    assert stack.counts.rows == 3


def test_a_stage_begins_at_its_percent_and_none_runs_no_net() -> None:
    starts = [(0.0, MODES["none"]), (1 - 500 / 999, MODES["both"])]
    stack = of_unit(routing=cn.HintRouting.over_time(starts))
    assert stack.residuals(call([501.0] * 2)) is None
    assert stack.counts.rows == 0
    assert stack.residuals(call([500.0] * 2)) is not None


def test_a_target_gain_within_stages_keeps_its_total_and_asks_for_the_cfg_scale_only_there() -> (
    None
):
    stack = of_unit(
        routing=cn.HintRouting.over_time([(0, MODES["both"]), (0.5, MODES["target_gain"])])
    )
    assert stack.residuals(call([999] * 2, cfg=None)) is not None
    with pytest.raises(ValueError, match="`target_gain` needs the CFG scale"):
        stack.residuals(call([100] * 2, cfg=None))
    stack.residuals(call([100] * 2, cfg=4.0))
    uncond, cond = stack.uses[0].gains
    assert uncond + 4 * (cond - uncond) == pytest.approx(2)


def test_the_routing_at_a_percent() -> None:
    found = [STAGED.at(percent) for percent in (0, 0.39, 0.4, 0.75, 0.8, 1)]
    expected = ("both", "both", "target_gain", "cond_only", "none", "none")
    assert found == [MODES[name] for name in expected]
    assert MODES["both"].at(0.5) == MODES["both"]
    assert STAGED.needs_branches
    assert not cn.HintRouting.over_time([(0, MODES["both"]), (0.5, MODES["none"])]).needs_branches


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cn.HintRouting.over_time([]), r"percents \[\] of a routing must rise from 0"),
        (lambda: cn.HintRouting.over_time([(0.2, MODES["both"])]), "must rise from 0"),
        (lambda: cn.HintRouting.over_time([(0, STAGED)]), "one list of stages"),
        (lambda: STAGED.gains(("cond",)), "call `at"),
        (lambda: parse_stages("both", MODES), "write percent:mode pairs, such as 0:both"),
        (lambda: parse_stages("0:sideways", MODES), "The modes are both, cond_only, target_gain"),
        (lambda: parse_stages("1.5:both", MODES), "write percent:mode pairs"),
        (lambda: parse_stages("0.5:both, 0.4:none", MODES), "its percents must rise"),
    ],
)
def test_stages_that_make_no_sense_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_an_empty_text_has_no_stages() -> None:
    assert parse_stages("", MODES) == ()
    assert replace(MODES["both"], stages=()) == MODES["both"]
