"""Controls that travel inside ComfyUI's own `control` lists."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from specs import spec

Part = Callable[[str], ModuleType]


def add_natively(own: dict[str, list[Any]], previous: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Adds an earlier control to one of ComfyUI's own, place by place, as `ControlBase.control_merge` does."""
    out = {kind: list(own.get(kind, ())) for kind in ("input", "middle", "output")}
    for kind, places in out.items():
        for index, value in enumerate(previous[kind]):
            if index >= len(places):
                places.append(value)
            elif value is not None:
                places[index] = value if places[index] is None else value + places[index]
    return out


#: What ComfyUI's own controls give: a ControlNet, and T2I adapters without and with a middle.
NATIVE = (
    {"middle": [5.0], "output": [1.0, 2.0, None]},
    {"input": [None, 3.0]},
    {"input": [3.0], "middle": [4.0]},
)


def test_a_control_of_ours_alone_leaves_nothing_native(part: Part) -> None:
    arriving, one = part("nodes.comfyui.arriving"), spec(part)
    assert arriving.take_arrivals(arriving.put_arrival(None, one)) == ((one,), None)


def test_several_keep_their_order(part: Part) -> None:
    arriving, one, two = part("nodes.comfyui.arriving"), spec(part), spec(part, strength=0.5)
    control = arriving.put_arrival(arriving.put_arrival(None, one), two)
    assert arriving.take_arrivals(control) == ((one, two), None)


@pytest.mark.parametrize("native", NATIVE, ids=["ControlNet", "adapter", "adapter with middle"])
def test_they_arrive_through_comfyuis_own_controls(
    part: Part, native: dict[str, list[Any]]
) -> None:
    """Before and behind one, and around two of them."""
    arriving, one, two = part("nodes.comfyui.arriving"), spec(part), spec(part, strength=0.5)
    control = add_natively(native, arriving.put_arrival(None, one))
    control = add_natively(native, arriving.put_arrival(control, two))
    specs, rest = arriving.take_arrivals(control)
    assert specs == (one, two)
    alone = {kind: native.get(kind, []) for kind in ("input", "middle", "output")}
    doubled = add_natively(native, alone)
    assert {k: [v for v in places if v is not None] for k, places in rest.items()} == {
        k: [v for v in places if v is not None] for k, places in doubled.items()
    }


def test_a_control_without_ours_stays_the_same_object(part: Part) -> None:
    native = NATIVE[0]
    assert part("nodes.comfyui.arriving").take_arrivals(native) == ((), native)
    assert part("nodes.comfyui.arriving").take_arrivals(None) == ((), None)


def test_the_lists_that_were_given_stay_as_they_are(part: Part) -> None:
    native = {"input": [], "middle": [5.0], "output": [1.0]}
    arriving = part("nodes.comfyui.arriving")
    control = arriving.put_arrival(native, spec(part))
    arriving.take_arrivals(control)[1]["middle"].pop()
    assert native == {"input": [], "middle": [5.0], "output": [1.0]}
