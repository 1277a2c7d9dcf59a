"""A sample of the core nodes, as /object_info lists them; `tests/comfy/run_matrix.py` goes through all."""

import pytest
from host import Host
from matrix import NATIVE, OWN_RIGHT, examine, kinds_of, lines

#: Every node of this many is taken, in alphabetical order.
EVERY = 12


def test_beside_a_core_node_control_is_what_native_control_is(comfy: Host) -> None:
    outcomes = [found for kind in kinds_of(comfy)[::EVERY] for found in examine(comfy, kind)]
    assert any(outcome.verdict == "equal" for outcome in outcomes)
    assert [
        line for line, o in zip(lines(outcomes), outcomes, strict=True) if o.verdict == "wrong"
    ] == []


@pytest.mark.parametrize("kind", OWN_RIGHT)
def test_where_native_control_is_not_the_measure_the_rows_are_right(comfy: Host, kind: str) -> None:
    if kind not in comfy.info:
        pytest.skip(f"this ComfyUI has no {kind}")
    verdicts = {(outcome.mode, outcome.verdict) for outcome in examine(comfy, kind)}
    assert verdicts == {
        (mode, "own rows" if mode in OWN_RIGHT[kind] else "equal") for mode in NATIVE
    }
