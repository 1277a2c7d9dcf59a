"""Context windows, which show the model some pictures of a batch at a time.

Stable Diffusion treats the pictures of a batch one by one, so windows of any kind change nothing; that is the law
that our control has to keep. ComfyUI's own control gives each window the first hints, so its run without windows is
what is right.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from described import defaults
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Sampling
from host import Failed, Host
from hosts import context_windows, node
from weights import SD15, family

PICTURES = 6
HOW = Sampling(steps=3, batch=PICTURES)
LENGTH = {"context_length": 3, "context_overlap": 1, "dim": 0}
SCHEDULES = ("standard_static", "standard_uniform", "looped_uniform", "batched")


def flow(comfy: Host, how: Sampling = HOW, **values: Any) -> Flow:
    """Returns a flow with windows; skips where ComfyUI itself fails with them."""
    if "ContextWindowsManual" not in comfy.info:
        pytest.skip("this ComfyUI has no ContextWindowsManual")
    known = defaults(comfy.info, "ContextWindowsManual")
    unknown = set(values) - set(known)
    if unknown:
        pytest.skip(f"ContextWindowsManual has no {', '.join(unknown)} in this ComfyUI")
    found = Flow(family(SD15), how, after=context_windows({**known, **LENGTH, **values}))
    try:
        found.run(comfy, "windows")
    except Failed as error:
        pytest.skip(f"this ComfyUI itself fails: {str(error).strip()[:80]}")
    return found


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("mode", ["both", "cond_only"])
@pytest.mark.parametrize("face", ["ours", "routed"])
def test_hints_go_to_their_pictures_in_windows(
    comfy: Host, face: str, mode: str, schedule: str
) -> None:
    whole, windows = Flow(family(SD15), HOW), flow(comfy, context_schedule=schedule)
    kind = "native" if mode == "both" else "native_positive"
    plain = whole.run(comfy, "plain")
    expected = whole.run(comfy, "expected", Control(kind, hints=PICTURES))
    found = windows.run(comfy, "found", Control(face, hints=PICTURES, routing={"mode": mode}))
    assert effect_share(plain, expected, found) <= 1e-3
    assert len(found.calls) > len(plain.calls)


@pytest.mark.parametrize("fixed", [False, True], ids=["plain", "picture in front"])
def test_a_picture_put_in_front_of_a_window_has_its_own_hint(comfy: Host, fixed: bool) -> None:
    windows = flow(comfy, causal_window_fix=fixed)
    plain = Flow(family(SD15), HOW).run(comfy, "plain")
    expected = Flow(family(SD15), HOW).run(comfy, "expected", Control(hints=PICTURES))
    found = windows.run(comfy, "found", Control(hints=PICTURES))
    assert effect_share(plain, expected, found) <= 1e-3


def test_one_hint_for_all_pictures_is_native_controls_in_windows(comfy: Host) -> None:
    windows = flow(comfy)
    plain = windows.run(comfy, "plain")
    native = windows.run(comfy, "native", Control("native"))
    assert effect_share(plain, native, windows.run(comfy, "ours", Control())) <= 1e-3


def test_only_cond_runs_through_the_control_net_in_windows(comfy: Host) -> None:
    windows = flow(comfy)
    calls = windows.run(comfy, "rows", Control(routing=COND_ONLY, count_as="windows net")).calls
    rows = comfy.saved("rows").counts["windows net"]
    assert len(rows) == len(calls)
    assert all(call == [1, 0] for call in calls)
    assert set(rows) <= {LENGTH["context_length"], LENGTH["context_length"] + 1}  # one in front


def test_windows_that_move_at_each_step_do_not_pile_up(comfy: Host) -> None:
    """Of six windows, two a step, those of two steps are kept; else there would be as many as pictures."""
    how = Sampling(steps=8, batch=PICTURES, side=32)
    moving = flow(comfy, how, context_schedule="looped_uniform", context_overlap=0)
    windows = moving.after
    watched = replace(
        moving,
        after=lambda graph, model: node("ProbeStacks", name="stacks")(graph, windows(graph, model)),
    )
    found = watched.run(comfy, "moving", Control(hints=PICTURES))
    assert len(found.calls) == 2 * how.steps
    assert max(found.counts["stacks"]) == 4


#: Strengths of six pictures, and the same as masks; all are exact in float32.
STRENGTHS = "0:1, 4:0.25"
MASKS = (1.0, 0.8125, 0.625, 0.4375, 0.25, 0.25)
#: Whether there are windows -> what gives the flow.
WHERE: dict[str, Callable[[Host], Flow]] = {
    "whole": lambda comfy: Flow(family(SD15), HOW),
    "windows": lambda comfy: flow(comfy, context_schedule="standard_static"),
}


@pytest.mark.parametrize(
    ("kind", "where"), [("ours", "whole"), ("ours", "windows"), ("routed", "windows")]
)
def test_frame_strengths_equal_constant_masks(comfy: Host, kind: str, where: str) -> None:
    given = Control(kind, strength=0.7, hints=PICTURES, routing=COND_ONLY)
    run = WHERE[where](comfy).run
    expected = run(comfy, "masks", replace(given, mask=MASKS))
    found = run(comfy, "strengths", replace(given, inputs={"frame_strengths": STRENGTHS}))
    assert torch.equal(found.samples, expected.samples)


def test_frame_strengths_belong_to_pictures_where_hints_start_again(comfy: Host) -> None:
    whole = Flow(family(SD15), HOW)
    given = Control(hints=2)
    expected = whole.run(comfy, "masks", replace(given, mask=MASKS))
    found = whole.run(comfy, "strengths", replace(given, inputs={"frame_strengths": STRENGTHS}))
    assert torch.equal(found.samples, expected.samples)


def test_pictures_without_strength_do_not_run_through_the_control_net(comfy: Host) -> None:
    inputs = {"frame_strengths": "0:1, 3:0"}
    given = Control(hints=PICTURES, inputs=inputs, count_as="frames net")
    found = Flow(family(SD15), HOW).run(comfy, "some", given)
    plain = Flow(family(SD15), HOW).run(comfy, "plain")
    assert torch.equal(found.samples[3:], plain.samples[3:])
    assert not torch.equal(found.samples[:3], plain.samples[:3])
    assert set(comfy.saved("some").counts["frames net"]) == {2 * 3}


def test_a_strength_that_is_no_pair_is_refused_at_the_node(comfy: Host) -> None:
    for kind in ("ours", "routed"):
        with pytest.raises(Failed, match="write points as picture:factor"):
            Flow(family(SD15), HOW).run(
                comfy, "bad", Control(kind, inputs={"frame_strengths": "1"})
            )
