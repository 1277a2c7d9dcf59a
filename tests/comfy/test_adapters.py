"""T2I-Adapters from ComfyUI's own loader, and another pack's ControlNet, in whole graphs with KSampler."""

from dataclasses import replace

import pytest
import torch
from adapters import Adapter, AdapterOfAnotherPack, AdapterXL, OfAnotherPack
from flows import COND_ONLY, WIRINGS, Control, Flow, effect_share
from graphs import Family, Graph, Sampling
from host import Failed, Host
from hosts import node, own_options
from weights import SD15, SDXL, WIDENING, WIDENING_SDXL, family

ROUTED = 2e-5
#: Inputs of PatchModelAddDownscale.
SHRINK = {
    "block_number": 3,
    "downscale_factor": 2.0,
    "start_percent": 0.0,
    "end_percent": 1.0,
    "downscale_after_skip": True,
    "downscale_method": "bicubic",
    "upscale_method": "bicubic",
}
STEPS = 3

CASES = [(Adapter, family(WIDENING)), (AdapterXL, family(WIDENING_SDXL))]
OURS = "ours_from_native_loader"
each = pytest.mark.parametrize(
    ("kind", "model"), [*CASES, (OfAnotherPack, family(SDXL))], ids=["SD1.5", "SDXL", "subclass"]
)


@each
def test_on_both_prompts_it_is_native_control(
    comfy: Host, kind: type[Control], model: Family
) -> None:
    flow = Flow(model, Sampling(steps=STEPS))
    plain, native = flow.run(comfy, "plain"), flow.run(comfy, "native", kind("native"))
    assert effect_share(plain, native, flow.run(comfy, "ours", kind(OURS))) == 0


@each
def test_on_one_prompt_it_saves_half_the_calls_of_the_model(
    comfy: Host, kind: type[Control], model: Family
) -> None:
    flow = Flow(model, Sampling(steps=STEPS))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", kind("native_positive"))
    ours = flow.run(comfy, "ours", kind(OURS, routing=COND_ONLY))
    assert effect_share(plain, native, ours) <= ROUTED
    assert (len(native.calls), len(ours.calls)) == (2 * STEPS, STEPS)


def test_an_adapter_adds_up_with_a_control_net_in_either_order(comfy: Host) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=STEPS))
    net = Control("ours", file="widening.safetensors", routing=COND_ONLY)
    both = Control("native", file="widening.safetensors")
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Adapter("native"), both)
    ours = Control("ours", file="widening.safetensors")
    for chain in ((Adapter(OURS), ours), (ours, Adapter(OURS))):
        assert effect_share(plain, native, flow.run(comfy, "ours", *chain)) <= ROUTED
    routed = flow.run(comfy, "routed", Adapter(OURS, routing=COND_ONLY), net)
    other = flow.run(comfy, "routed", net, Adapter(OURS, routing=COND_ONLY))
    assert effect_share(plain, routed, other) <= ROUTED


def test_adapters_on_the_model_and_on_the_prompts_add_up(comfy: Host) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=STEPS))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Adapter("native"), Adapter("native"))
    found = flow.run(comfy, "ours", Adapter(OURS), Adapter("routed"))
    assert effect_share(plain, native, found) <= ROUTED


def test_another_number_of_scales_is_refused_by_the_node_that_has_them(comfy: Host) -> None:
    control = Adapter(OURS, scales={"profile": "custom", "custom_scales": "1 2 3"})
    with pytest.raises(Failed, match="has 4 blocks") as caught:
        Flow(family(WIDENING)).run(comfy, "refused", control)
    assert caught.value.node == "ApplyControlNet"


def test_points_along_the_axis_fit_any_net(comfy: Host) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=STEPS))
    plain = flow.run(comfy, "plain")
    points = {"profile": "custom", "custom_scales": "0:0.5, 1:0.5"}
    for kind, file in ((Adapter, ""), (Control, "widening.safetensors")):
        loader = OURS if kind is Adapter else "ours"
        half = flow.run(comfy, "half", kind(loader, file=file, strength=0.5))
        found = flow.run(comfy, "points", kind(loader, file=file, scales=points))
        assert effect_share(plain, half, found) <= 1e-4


def test_an_adapter_for_another_model_stops_the_run(comfy: Host) -> None:
    """ComfyUI itself leaves out the residuals that it has no place for."""
    with pytest.raises(Failed, match="made for this model"):
        Flow(family(WIDENING_SDXL)).run(comfy, "refused", Adapter(OURS))


def test_an_input_that_the_net_does_not_read_is_refused(comfy: Host) -> None:
    flow = Flow(family(SD15))
    with pytest.raises(Failed, match="`control_type` is 'depth'"):
        flow.run(comfy, "refused", Adapter(OURS, inputs={"control_type": "depth"}))


routed_each = pytest.mark.parametrize(("kind", "model"), CASES, ids=["SD1.5", "SDXL"])


@routed_each
def test_routed_to_both_prompts_it_is_native_control(
    comfy: Host, kind: type[Control], model: Family
) -> None:
    flow = Flow(model, Sampling(steps=STEPS))
    plain, native = flow.run(comfy, "plain"), flow.run(comfy, "native", kind("native"))
    both = kind("routed", routing={"mode": "both"})
    assert effect_share(plain, native, flow.run(comfy, "routed", both)) == 0


@pytest.mark.parametrize(
    ("kind", "model", "mode"),
    [
        *((Adapter, family(WIDENING), mode) for mode in ("cond_only", "weighted", "target_gain")),
        (AdapterXL, family(WIDENING_SDXL), "uncond_only"),
    ],
    ids=["cond only", "weighted", "target gain", "SDXL, uncond only"],
)
def test_routed_it_is_the_one_on_the_model_in_as_many_calls(
    comfy: Host, kind: type[Control], model: Family, mode: str
) -> None:
    flow = Flow(model, Sampling(steps=STEPS))
    curve = {"profile": "uniform", "time_curve": "0:1, 1:0.5"}
    settings = {"routing": {"mode": mode}, "scales": curve}
    plain, ours = flow.run(comfy, "plain"), flow.run(comfy, "ours", kind(OURS, **settings))
    found = flow.run(comfy, "routed", kind("routed", **settings))
    assert effect_share(plain, ours, found) <= ROUTED
    assert len(found.calls) == STEPS


def test_routed_it_adds_up_with_a_routed_control_net_in_either_order(comfy: Host) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=STEPS))
    net = {"file": "widening.safetensors", "routing": COND_ONLY}
    plain = flow.run(comfy, "plain")
    ours = flow.run(comfy, "ours", Adapter(OURS, routing=COND_ONLY), Control("ours", **net))
    pair = (Adapter("routed", routing=COND_ONLY), Control("routed", **net))
    for chain in (pair, pair[::-1]):
        found = flow.run(comfy, "routed", *chain)
        assert effect_share(plain, ours, found) <= ROUTED
        assert len(found.calls) == STEPS


@pytest.mark.parametrize("kind", ["routed_twice", "routed_to_model"])
def test_settings_of_a_routed_adapter_travel(comfy: Host, kind: str) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=STEPS))
    settings = {"routing": COND_ONLY, "scales": {"profile": "custom", "custom_scales": "0 1 1 0.5"}}
    plain, ours = flow.run(comfy, "plain"), flow.run(comfy, "ours", Adapter(OURS, **settings))
    assert effect_share(plain, ours, flow.run(comfy, "routed", Adapter(kind, **settings))) <= ROUTED


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": 0.5}, "`mask` cannot travel with a T2I-Adapter"),
        ({"inputs": {"frame_strengths": "0:1"}}, "`frame_strengths` cannot travel"),
        ({"inputs": {"control_type": "depth"}}, "`control_type` is 'depth'"),
        ({"scales": {"profile": "custom", "custom_scales": "1 2"}}, "has 4 blocks"),
    ],
    ids=["mask", "frames", "type", "scales"],
)
def test_what_a_routed_adapter_cannot_take_is_refused(
    comfy: Host, settings: dict, words: str
) -> None:
    with pytest.raises(Failed, match=words) as caught:
        Flow(family(WIDENING)).run(comfy, "refused", Adapter("routed", **settings))
    assert caught.value.node == "RouteControlNet"


def test_a_routed_adapter_for_another_model_stops_the_run(comfy: Host) -> None:
    with pytest.raises(Failed, match=r"made for SD1.x, but the MODEL is SDXL"):
        Flow(family(WIDENING_SDXL)).run(comfy, "refused", Adapter("routed"))


def test_a_routed_adapter_of_another_width_stops_the_run(comfy: Host) -> None:
    with pytest.raises(Failed, match="64, 128, 256, 256"):
        Flow(family(SD15)).run(comfy, "refused", Adapter("routed"))


def test_an_adapter_in_another_packs_class_is_refused_by_name(comfy: Host) -> None:
    with pytest.raises(Failed, match="AdapterOfAnotherPack") as caught:
        Flow(family(WIDENING)).run(comfy, "refused", AdapterOfAnotherPack("routed"))
    assert caught.value.node == "RouteControlNet"


@pytest.mark.parametrize(
    ("kind", "announced"),
    [("routed", "context_window"), ("routed", "ad_params"), (OURS, "context_window")],
)
def test_in_windows_an_adapter_gives_each_picture_its_own_hint(
    comfy: Host, kind: str, announced: str
) -> None:
    """Windows change nothing, so the run without them is what is right."""
    flow = Flow(family(WIDENING), Sampling(steps=2, batch=4))
    windows = replace(flow, after=node("ProbeWindows", length=2, announced=announced))
    plain = flow.run(comfy, "plain")
    expected = flow.run(comfy, "expected", Adapter("native_positive", hints=4))
    found = windows.run(comfy, "found", Adapter(kind, hints=4, routing=COND_ONLY))
    assert effect_share(plain, expected, found) <= 1e-3


def test_packs_that_ask_for_sub_idxs_take_a_routed_adapter_as_it_is(comfy: Host) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=2, batch=2))
    expected = flow.run(comfy, "expected", Adapter("routed", hints=2))
    found = replace(flow, after=node("ProbeSubIdxs")).run(
        comfy, "found", Adapter("routed", hints=2)
    )
    assert torch.equal(found.samples, expected.samples)


@pytest.mark.parametrize(
    ("routing", "native"),
    [
        ({"mode": "weighted", "cond_weight": 0.5, "uncond_weight": 0.5}, {"strength": 0.5}),
        ({"mode": "both", "time_curve": "0:both, 0.5:none"}, {"window": (0.0, 0.5)}),
    ],
    ids=["equal weights", "none from the middle on"],
)
def test_a_routed_adapter_keeps_gains_for_both_where_no_hook_runs(
    comfy: Host, routing: dict, native: dict
) -> None:
    flow = Flow(family(WIDENING), Sampling(steps=4), sampler=own_options)
    plain = flow.run(comfy, "plain")
    expected = flow.run(comfy, "expected", Adapter("native", **native))
    found = flow.run(comfy, "found", Adapter("routed", routing=routing))
    assert effect_share(plain, expected, found) <= ROUTED


@pytest.mark.parametrize("net", ["alone", "with a ControlNet"])
def test_a_node_that_shrinks_features_stops_the_run_of_a_routed_adapter(
    comfy: Host, net: str
) -> None:
    """As with the adapter on the MODEL; ComfyUI itself leaves out the features that do not fit."""
    flow = Flow(family(WIDENING), after=node("PatchModelAddDownscale", **SHRINK))
    more = () if net == "alone" else (Control("routed", file="widening.safetensors"),)
    with pytest.raises(Failed, match="no node that resizes features"):
        flow.run(comfy, "refused", Adapter("routed"), *more)


def test_after_an_error_a_routed_adapter_holds_no_model(comfy: Host) -> None:
    flow, control = Flow(family(WIDENING), Sampling(steps=2)), Adapter("routed")
    broken = replace(flow, after=node("ProbeBreak", call=2))
    before = count_models_beside(comfy, flow, control)
    with pytest.raises(Failed, match="broken on purpose"):
        broken.run(comfy, "broken", control)
    assert count_models_beside(comfy, flow, control) == before


def count_models_beside(comfy: Host, flow: Flow, control: Control) -> int:
    """Returns how many models live while ComfyUI keeps a flow's prompts and control, but no MODEL."""
    graph = Graph()
    wired = (flow.family.model(graph), *(flow.family.cond(graph, seed) for seed in (1, 2)))
    _, positive, _ = WIRINGS[control.kind](graph, control, wired)
    graph.add("PreviewAny", source=positive)
    graph.add("ProbeMemory", name="beside")
    comfy.run(graph.nodes)
    return comfy.memory("beside")["models"]
