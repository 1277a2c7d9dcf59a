"""CFG Hint Routing's `time_curve` is one Apply node for each stage, with the stage's window."""

import pytest
import torch
from flows import Control, Flow
from graphs import Sampling
from host import Failed, Host
from weights import SD15, family

#: They are at 0, 0.25, 0.5, ...; at a stage's own percent the earlier stage's Apply node would act, too.
STEPS = 5
#: Text, mode, and the Apply nodes that it stands for: routing, start and end.
CASES = {
    "both, then the prompt, then none": (
        "0:both, 0.4:cond_only, 0.8:none",
        "weighted",
        (("both", 0.0, 0.4), ("cond_only", 0.4, 0.8)),
    ),
    "a mode before the first pair, and a target gain": (
        "0.3:target_gain, 0.6:weighted",
        "uncond_only",
        (("uncond_only", 0.0, 0.3), ("target_gain", 0.3, 0.6), ("weighted", 0.6, 1.0)),
    ),
}


@pytest.mark.parametrize(
    ("name", "kind", "cfg"),
    [
        ("both, then the prompt, then none", "ours", 7.5),
        ("both, then the prompt, then none", "routed", 7.5),
        ("a mode before the first pair, and a target gain", "ours", 7.5),
        ("a mode before the first pair, and a target gain", "ours", 1.0),
    ],
)
def test_stages_equal_apply_nodes_with_windows(
    comfy: Host, name: str, kind: str, cfg: float
) -> None:
    text, mode, windows = CASES[name]
    run = Flow(family(SD15), Sampling(steps=STEPS, cfg=cfg)).run
    one = Control(kind, routing={"mode": mode, "time_curve": text})
    several = [
        Control(kind, routing={"mode": mode}, window=(start, end)) for mode, start, end in windows
    ]
    found, expected = run(comfy, "staged", one), run(comfy, "apart", *several)
    assert torch.equal(found.samples, expected.samples)


def test_a_curve_that_is_none_is_refused_at_the_node(comfy: Host) -> None:
    bad = Control(routing={"mode": "both", "time_curve": "0:sideways"})
    with pytest.raises(Failed, match="write percent:mode pairs, such as 0:both"):
        Flow(family(SD15)).run(comfy, "bad", bad)
