"""T2I-Adapters from ComfyUI's own loader, and another pack's ControlNet, in whole graphs with KSampler."""

import pytest
from adapters import Adapter, AdapterXL, OfAnotherPack
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Family, Sampling
from host import Failed, Host
from weights import SD15, SDXL, WIDENING, WIDENING_SDXL, family

ROUTED = 2e-5
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
