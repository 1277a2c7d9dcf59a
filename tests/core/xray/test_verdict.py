"""The X-ray's plain sentences, on records made by hand."""

import numpy as np
import pytest

import cnet_core as cn
from cnet_core.xray import Call, Influence, Record
from cnet_core.xray.verdict import verdict

BLOCKS, STEPS = 13, 10


def run(*units: dict[str, tuple[float, ...]], added: dict[int, float] | None = None) -> Record:
    """Returns a run; `units`: gain by step of each branch. `added`: residual by block, 1 where none is named."""
    residuals = np.array(
        [(added or {}).get(block, 0.0 if added else 1.0) for block in range(BLOCKS)]
    )
    calls = [
        Call(
            percent=step / STEPS,
            rows=(cn.Row("uncond"), cn.Row("cond")),
            cfg_scale=7.5,
            gains=tuple((unit["uncond"][step], unit["cond"][step]) for unit in units),
            states=tuple(("evaluated", "evaluated") for _ in units),
            residuals=np.stack([residuals] * 2, axis=1),
            features=np.ones((BLOCKS, 2)),
        )
        for step in range(STEPS)
    ]
    return Record(tuple(calls))


ON, OFF = (1.0,) * STEPS, (0.0,) * STEPS
BOTH = {"cond": ON, "uncond": ON}
FIRST_HALF = {"cond": ON[:5] + OFF[5:], "uncond": ON[:5] + OFF[5:]}
LAST = {"cond": OFF[:8] + ON[8:], "uncond": OFF[:8] + ON[8:]}


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ([BOTH], ""),
        ([FIRST_HALF], " The ControlNet stops after 50 % of the steps."),
        ([BOTH, FIRST_HALF], " Net 2 stops after 50 % of the steps."),
        ([LAST], " The ControlNet starts after 80 % of the steps."),
        ([{"cond": ON, "uncond": OFF}], " The ControlNet acts on your prompt alone."),
        ([{"cond": OFF, "uncond": ON}], " The ControlNet acts on the negative prompt alone."),
        (
            [BOTH, {"cond": FIRST_HALF["cond"], "uncond": OFF}],
            " Net 2 acts on your prompt alone and stops after 50 % of the steps.",
        ),
        ([BOTH, {"cond": OFF, "uncond": OFF}], " Net 2 was not used."),
    ],
)
def test_each_net_that_does_not_act_everywhere_is_named(units: list, words: str) -> None:
    where, *_ = verdict(run(*units)).partition(":")
    assert (
        where
        == "The control is added at all depths, the largest part at blocks 9-11 and the middle (layout)"
    )
    assert verdict(run(*units)) == f"{where}: 31 %.{words}"


@pytest.mark.parametrize(
    ("block", "place"),
    [
        (0, "blocks 0-2 (fine detail)"),
        (2, "blocks 0-2 (fine detail)"),
        (3, "blocks 3-5 (shapes)"),
        (8, "blocks 6-8 (shapes)"),
        (12, "blocks 9-11 and the middle (layout)"),
    ],
)
def test_most_is_said_to_be_where_most_is(block: int, place: str) -> None:
    assert verdict(run(BOTH, added={block: 0.3})) == f"Most of the control is added at {place}."
    influence = Influence(tuple(float(b == block) for b in range(BLOCKS)), 0.1)
    assert verdict(run(BOTH), influence) == f"Most of the effect comes from {place}."


def test_a_run_without_control_says_so() -> None:
    nothing = "Nothing was added: control had no effect in this run."
    assert verdict(run(BOTH, added={0: 0.0})) == nothing
    assert verdict(Record(())) == nothing
