"""Our ControlNets on the conditioning, by ComfyUI's own Apply nodes: native's numbers and ours, in as few calls."""

from dataclasses import replace

import pytest
import torch
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Sampling
from host import Host
from hosts import COND_NODES, MODEL_NODES, SAMPLERS, node
from weights import SD15, SDXL, family

#: Largest difference as a share of the control's own effect, in a run and in one call.
TOLERANCE, ONE_CALL = 1e-3, 1e-5
ROUTINGS = {
    "cond only": {"mode": "cond_only"},
    "uncond only": {"mode": "uncond_only"},
    "weighted": {"mode": "weighted"},
    "target gain": {"mode": "target_gain"},
}
#: What changes the guidance of a KSampler; SAG needs more than one deep pixel.
GUIDANCE = {
    "CFG 1": Flow(family(SD15), Sampling(cfg=1.0)),
    **{
        name: Flow(family(SD15), Sampling(steps=3, side=128 if name == "SAG" else 64), after=nodes)
        for name, nodes in (
            *((name, MODEL_NODES[name]) for name in ("SAG", "PAG", "RescaleCFG")),
            ("APG", node("APG", eta=1.0, norm_threshold=5.0, momentum=0.5)),
            ("TCFG", node("TCFG")),
            ("CFGZeroStar", node("CFGZeroStar")),
        )
    },
}


@pytest.mark.parametrize("kind", ["loaded", "routed", "routed_from_native_loader"])
@pytest.mark.parametrize(("config", "file"), [(SD15, "sd15"), (SDXL, "sdxl")], ids=["sd15", "sdxl"])
def test_one_call_is_native_controls(comfy: Host, config: object, file: str, kind: str) -> None:
    flow = Flow(family(config), Sampling(steps=1))
    assert share(comfy, flow, kind, file=f"{file}.safetensors") <= ONE_CALL


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.25, 0.75)], ids=str)
@pytest.mark.parametrize("strength", [0.5, 1.3])
@pytest.mark.parametrize("kind", ["loaded", "routed"])
def test_a_run_is_native_controls(
    comfy: Host, kind: str, strength: float, window: tuple[float, float]
) -> None:
    flow = Flow(family(SD15))
    assert share(comfy, flow, kind, strength=strength, window=window) <= TOLERANCE


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_guider_gets_native_controls_numbers(comfy: Host, name: str) -> None:
    assert share(comfy, Flow(family(SD15), sampler=SAMPLERS[name]), "routed") <= TOLERANCE


@pytest.mark.parametrize("name", MODEL_NODES)
def test_nodes_on_the_model_get_native_controls_numbers(comfy: Host, name: str) -> None:
    how = Sampling(steps=3, side=128)  # SAG needs more than one deep pixel
    assert share(comfy, Flow(family(SD15), how, after=MODEL_NODES[name]), "routed") <= TOLERANCE


@pytest.mark.parametrize("name", COND_NODES)
def test_nodes_on_the_conds_get_native_controls_numbers(comfy: Host, name: str) -> None:
    nodes = COND_NODES[name]
    flow = Flow(family(SD15), positive=nodes, negative=nodes)
    assert share(comfy, flow, "routed") <= TOLERANCE


@pytest.mark.parametrize("name", ["KSamplerAdvanced", "CFGGuider", "DualCFG", "PerpNegGuider"])
def test_cond_only_is_native_control_on_the_positive_in_one_call_a_step(
    comfy: Host, name: str
) -> None:
    flow = Flow(family(SD15), sampler=SAMPLERS[name])
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native_positive"))
    ours = flow.run(comfy, "ours", Control("routed", routing=COND_ONLY, count_as=name))
    assert effect_share(plain, native, ours) <= TOLERANCE
    assert ours.calls == plain.calls
    assert len(native.calls) > len(ours.calls)
    conds = {1, 2} if name == "DualCFG" else {0}  # their indices in the guider's calls
    assert ours.counts[name] == [sum(index in conds for index in call) for call in ours.calls]


@pytest.mark.parametrize("name", GUIDANCE)
def test_beside_guidance_cond_only_is_native_control_on_the_positive(
    comfy: Host, name: str
) -> None:
    """In the calls of the run with no control, and with the ControlNet's rows of the control on the MODEL."""
    flow = GUIDANCE[name]
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native_positive"))
    ours = flow.run(comfy, "ours", Control("routed", routing=COND_ONLY))
    assert effect_share(plain, native, ours) <= TOLERANCE
    assert ours.calls == plain.calls
    assert_equal_faces(comfy, flow, Control(routing=COND_ONLY))


@pytest.mark.parametrize("routing", ROUTINGS)
@pytest.mark.parametrize("name", ["KSamplerAdvanced", "BasicGuider", "DualCFG", "PerpNeg"])
def test_both_faces_give_the_same_bits(comfy: Host, name: str, routing: str) -> None:
    flow = Flow(family(SD15), sampler=SAMPLERS[name])
    control = Control(routing=ROUTINGS[routing], scales={"profile": "soft"}, strength=0.8)
    assert_equal_faces(comfy, flow, control)


@pytest.mark.parametrize(
    "settings",
    [
        {"inputs": {"reuse_tolerance": 0.3}},
        {"scales": {"profile": "uniform", "time_curve": "0:1, 0.6:0.2"}},
        {"window": (0.2, 0.7)},
    ],
    ids=["reuse", "curve", "window"],
)
def test_both_faces_give_the_same_bits_with(comfy: Host, settings: dict) -> None:
    assert_equal_faces(comfy, Flow(family(SD15)), Control(routing=COND_ONLY, **settings))


def test_a_mask_gives_both_faces_the_same_numbers(comfy: Host) -> None:
    """Not the same bits: a mask that travels is enlarged to the picture first, which rounds it."""
    flow = Flow(family(SD15))
    plain = flow.run(comfy, "plain")
    on_model = flow.run(comfy, "model", Control(routing=COND_ONLY, mask=0.4))
    travelling = flow.run(comfy, "conds", Control("routed", routing=COND_ONLY, mask=0.4))
    assert effect_share(plain, on_model, travelling) <= 1e-5


def test_a_batch_of_hints_is_one_hint_a_picture(comfy: Host) -> None:
    flow = Flow(family(SD15), Sampling(batch=3))
    assert share(comfy, flow, "routed", hints=3) <= TOLERANCE
    assert_equal_faces(comfy, flow, Control(hints=3, routing=COND_ONLY))


@pytest.mark.parametrize("kinds", [("native", "routed"), ("routed", "native"), ("routed", "ours")])
def test_chains_add_up(comfy: Host, kinds: tuple[str, str]) -> None:
    """With ComfyUI's own control before and behind it, and with both faces in one graph."""
    flow, other = Flow(family(SD15)), {"file": "sd15_other.safetensors", "hint_seed": 6}
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native"), Control("native", **other))
    found = flow.run(comfy, "chained", Control(kinds[0]), Control(kinds[1], **other))
    assert effect_share(plain, native, found) <= TOLERANCE
    assert found.calls == native.calls


def test_chains_of_two_routings_keep_one_call_a_step(comfy: Host) -> None:
    flow = Flow(family(SD15))
    other = {"file": "sd15_other.safetensors", "hint_seed": 6, "routing": {"mode": "uncond_only"}}
    controls = Control(routing=COND_ONLY), Control(**other)
    on_model = flow.run(comfy, "model", *controls)
    travelling = flow.run(comfy, "conds", *(replace(c, kind="routed") for c in controls))
    assert torch.equal(on_model.samples, travelling.samples)
    assert on_model.calls == travelling.calls


def test_a_union_type_travels(comfy: Host) -> None:
    control = Control(file="union.safetensors", inputs={"control_type": "depth"})
    assert_equal_faces(comfy, Flow(family(SDXL)), control)


def assert_equal_faces(comfy: Host, flow: Flow, control: Control) -> None:
    """Raises unless a control gives the same on the MODEL and on the conds, in the same calls, and gives anything."""
    names = [f"{flow} {control} {face}" for face in ("model", "conds")]  # each counts by itself
    on_model = flow.run(comfy, "model", replace(control, count_as=names[0]))
    travelling = flow.run(comfy, "conds", replace(control, kind="routed", count_as=names[1]))
    assert torch.equal(on_model.samples, travelling.samples)
    assert on_model.calls == travelling.calls
    assert on_model.counts[names[0]] == travelling.counts[names[1]]


def share(comfy: Host, flow: Flow, kind: str, **control: object) -> float:
    """Returns how far ours is from native control, as a share of its effect; both in equally many calls."""
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native", **control))
    ours = flow.run(comfy, "ours", Control(kind, **control))
    assert len(ours.calls) == len(native.calls)
    return effect_share(plain, native, ours)
