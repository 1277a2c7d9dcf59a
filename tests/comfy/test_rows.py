"""Which rows get control in which host: each against ComfyUI's own control wired to the same conds."""

from dataclasses import replace

import pytest
import torch
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Graph, Sampling
from host import Host
from hosts import COND_NODES, MODEL_NODES, RIGHT_HALF, SAMPLERS, lora_hook, merge
from weights import SD15, WIDENING, family

TOLERANCE = 1e-3
#: Routing -> how native control is wired to be the same.
NATIVE = {"both": "native", "cond_only": "native_positive"}
#: What FreeU does depends on widths.
FILES = {"FreeU": (WIDENING, "widening"), "FreeU_V2": (WIDENING, "widening")}
#: These divide by what is 0 where the deepest features are a single pixel.
SIDES = {"SAG": Sampling(side=128), "FreeU_V2": Sampling(side=128)}

FLOWS = {
    "KSampler": Flow(family(SD15)),
    **{name: Flow(family(SD15), sampler=sampler) for name, sampler in SAMPLERS.items()},
    **{
        name: Flow(family(FILES.get(name, (SD15, ""))[0]), SIDES.get(name, Sampling()), after=nodes)
        for name, nodes in MODEL_NODES.items()
    },
    **{name: Flow(family(SD15), positive=nodes) for name, nodes in COND_NODES.items()},
    "area on both": Flow(family(SD15), positive=COND_NODES["area"], negative=COND_NODES["area"]),
    "CFG 1": Flow(family(SD15), Sampling(cfg=1.0)),
    "batch of 4": Flow(family(SD15), Sampling(batch=4)),
    "merge": Flow(family(SD15), after=merge(family(SD15))),
    "inpaint": Flow(family(SD15).inpaint()),
}

#: How many chunks of a UNet call are cond, by the indices that ComfyUI gives: each host has its own order.
COND_ROWS = {
    "batch of 4": lambda call: call.count(0),
    "area": lambda call: call.count(0),
    "two conds": lambda call: call.count(0),
    "DualCFG": lambda call: call.count(1) + call.count(2),
    "PAG": lambda call: call.count(0),
    "SAG": lambda call: call.count(0) if len(call) == 2 else 0,  # its own call is uncond alone
    "PerpNeg": lambda call: call.count(0) if len(call) == 2 else 0,
}
#: ComfyUI copies a positive's area to the negative's side, control included, so it cannot do cond only there.
NATIVE_CANNOT = [("area", "cond_only")]
CASES = [(n, r) for n in FLOWS for r in NATIVE if (n, r) not in NATIVE_CANNOT]


@pytest.mark.parametrize(("name", "routing"), CASES)
def test_rows_are_those_of_native_control(comfy: Host, name: str, routing: str) -> None:
    flow = FLOWS[name]
    file = f"{FILES.get(name, (SD15, 'sd15'))[1]}.safetensors"
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control(NATIVE[routing], file=file))
    ours = flow.run(comfy, "ours", Control(file=file, routing={"mode": routing}))
    assert effect_share(plain, native, ours) <= TOLERANCE
    assert len(ours.calls) == len(plain.calls) <= len(native.calls)


def test_an_area_of_the_positive_alone_is_cond_alone(comfy: Host) -> None:
    """ComfyUI copies the area to the negative's side, its control included: there it is spelt out instead."""

    def same_area(graph: Graph, cond: list) -> list:
        half = graph.add("ConditioningSetAreaPercentage", conditioning=cond, **RIGHT_HALF)
        return graph.add("ConditioningCombine", conditioning_1=half, conditioning_2=cond)

    flow = FLOWS["area"]
    spelt_out = replace(flow, negative=same_area)
    plain = flow.run(comfy, "plain")
    assert torch.equal(spelt_out.run(comfy, "plain").samples, plain.samples)
    native = spelt_out.run(comfy, "native", Control("native_positive"))
    ours = flow.run(comfy, "ours", Control(routing=COND_ONLY))
    assert effect_share(plain, native, ours) <= TOLERANCE


@pytest.mark.parametrize("routing", ["both", "cond_only"])
@pytest.mark.parametrize("hints", [1, 2, 4, 6])
def test_hints_of_a_batch_go_to_their_pictures(comfy: Host, hints: int, routing: str) -> None:
    flow = Flow(family(SD15), Sampling(batch=4))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control(NATIVE[routing], hints=hints))
    ours = flow.run(comfy, "ours", Control(hints=hints, routing={"mode": routing}))
    assert effect_share(plain, native, ours) <= TOLERANCE


def test_as_many_hints_as_unet_rows_go_to_the_first_pictures_of_both_branches(comfy: Host) -> None:
    """Native control takes them for one hint a row: the first two for uncond, the others for cond."""
    flow = Flow(family(SD15), Sampling(batch=2))
    plain = flow.run(comfy, "plain")
    expected = flow.run(comfy, "expected", Control("native", hints=2))
    mixed_up = flow.run(comfy, "native", Control("native", hints=4))
    ours = flow.run(comfy, "ours", Control(hints=4))
    assert effect_share(plain, expected, ours) <= TOLERANCE
    assert effect_share(plain, expected, mixed_up) > 100 * TOLERANCE


@pytest.mark.parametrize("name", COND_ROWS)
def test_cond_only_runs_the_rows_of_cond_alone_through_the_control_net(
    comfy: Host, name: str
) -> None:
    flow = FLOWS[name]
    calls = flow.run(comfy, name, Control(routing=COND_ONLY, count_as=f"{name} net")).calls
    wanted = [COND_ROWS[name](call) for call in calls]
    rows = comfy.saved(name).counts[f"{name} net"]
    assert [r // flow.sampling.batch for r in rows] == [w for w in wanted if w]


def test_target_gain_is_the_weight_that_the_guiders_cfg_scale_asks_for(comfy: Host) -> None:
    flow = Flow(family(SD15), Sampling(cfg=4.0))
    weighted = {"mode": "weighted", "uncond_weight": 0.667}  # (4 - 2) / (4 - 1)
    assert agree(comfy, flow, {"mode": "target_gain", "target_gain": 2.0}, weighted) <= 1e-2


def test_target_gain_counts_the_negative_also_when_it_runs_in_another_call(comfy: Host) -> None:
    flow = Flow(family(SD15), Sampling(cfg=4.0), positive=lora_hook)
    weighted = {"mode": "weighted", "uncond_weight": 0.667}
    assert agree(comfy, flow, {"mode": "target_gain", "target_gain": 2.0}, weighted) <= 1e-2


def test_target_gain_goes_by_the_second_scale_of_dual_cfg(comfy: Host) -> None:
    flow = Flow(family(SD15), Sampling(cfg=4.0), sampler=SAMPLERS["DualCFG"])
    weighted = {"mode": "weighted", "uncond_weight": 0.667}
    assert agree(comfy, flow, {"mode": "target_gain", "target_gain": 2.0}, weighted) <= 1e-2


@pytest.mark.parametrize(
    "flow",
    [
        Flow(family(SD15), sampler=SAMPLERS["BasicGuider"]),
        Flow(family(SD15), Sampling(cfg=1.0)),
    ],
    ids=["BasicGuider", "CFG 1"],
)
def test_target_gain_without_guidance_scales_the_cond_row(comfy: Host, flow: Flow) -> None:
    weighted = {"mode": "weighted", "cond_weight": 1.5}
    assert agree(comfy, flow, {"mode": "target_gain", "target_gain": 1.5}, weighted) <= 1e-5


SHRINKERS = {
    "PatchModelAddDownscale": {
        "block_number": 3,
        "downscale_factor": 2.0,
        "start_percent": 0.0,
        "end_percent": 1.0,
        "downscale_after_skip": True,
        "downscale_method": "bicubic",
        "upscale_method": "bicubic",
    },
    "ProbeShrink": {},
}


@pytest.mark.parametrize("kind", SHRINKERS)
def test_features_that_any_node_shrinks_get_resized_residuals(comfy: Host, kind: str) -> None:
    def shrink(graph: Graph, model: list) -> list:
        return graph.add(kind, model=model, **SHRINKERS[kind])

    for place in ("before", "after"):
        flow = Flow(family(SD15), **{place: shrink})
        plain, ours = flow.run(comfy, "plain"), flow.run(comfy, "ours", Control())
        native = flow.run(comfy, "native", Control("native"))
        # Native drops what ours resizes; what counts as equal elsewhere is 0.001.
        assert effect_share(plain, native, ours) > 0.002
    assert "resized to fit" in comfy.log


def agree(comfy: Host, flow: Flow, one: dict, other: dict) -> float:
    """Returns how far two routings are apart, as a share of the first one's effect."""
    plain = flow.run(comfy, "plain")
    first = flow.run(comfy, "one", Control(routing=one))
    second = flow.run(comfy, "other", Control(routing=other))
    assert effect_share(plain, first, flow.run(comfy, "cond", Control(routing=COND_ONLY))) > 0.01
    return effect_share(plain, first, second)
