"""Our ControlNets on conditioning beside nodes that treat them as other packs do; and what lives on after a run."""

from dataclasses import replace

import pytest
import torch
from flows import COND_ONLY, RIGHT_HALF, Control, Flow, effect_share
from graphs import Graph, Link, Sampling, save
from host import Failed, Host
from hosts import node, own_options
from weights import SD15, family

TOLERANCE = 1e-3
#: Routing -> how native control is wired to be the same.
NATIVE = {"both": "native", "cond_only": "native_positive"}
MODES = pytest.mark.parametrize("mode", NATIVE)


def share(comfy: Host, flow: Flow, mode: str, kind: str = "routed", **control: object) -> float:
    """Returns how far ours is from native control on the prompts, as a share of its effect."""
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control(NATIVE[mode], **control))
    ours = flow.run(comfy, "ours", Control(kind, routing={"mode": mode}, **control))
    assert ours.calls == plain.calls
    return effect_share(plain, native, ours)


def copied(half: bool) -> Flow:
    """Returns a flow whose prompts get copies of their controls."""

    def copies(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
        conds = (
            graph.add("ProbeCopyControls", conditioning=cond, half=half)
            for cond in (positive, negative)
        )
        return how.ksampler(graph, model, *conds)

    return Flow(family(SD15), sampler=copies)


@pytest.mark.parametrize("half", [False, True], ids=["whole", "half"])
@MODES
def test_a_copy_for_each_prompt_keeps_one_call_a_step(comfy: Host, mode: str, half: bool) -> None:
    assert share(comfy, copied(half), mode, hint_side=128) <= TOLERANCE


def test_copies_share_the_weights(comfy: Host) -> None:
    replace(copied(half=False), watched=True).run(comfy, "copies", Control("routed"))
    assert comfy.memory("copies")["loaded"].count("ControlNet") == 1


def test_a_mask_is_cropped_with_the_picture(comfy: Host) -> None:
    """A mask for the right half is cropped away with the left half that is kept, and no control is left."""

    def run(name: str, control: Control) -> torch.Tensor:
        return copied(half=True).run(comfy, name, control).samples

    plain = run("plain", Control("none"))
    masked = Control("routed_beside_mask", hint_side=128)
    assert torch.equal(run("masked", masked), plain)
    assert not torch.equal(run("whole", replace(masked, kind="routed")), plain)


TILES = Flow(
    family(SD15), Sampling(steps=3, side=128), after=node("ProbeControlTiles", side=8, batch=4)
)


@pytest.mark.parametrize("batch", [1, 4], ids=lambda batch: f"{batch} in a call")
@pytest.mark.parametrize("kind", ["routed", "ours"])
@MODES
def test_tiles_with_hints_of_their_own_get_them(
    comfy: Host, mode: str, kind: str, batch: int
) -> None:
    flow = replace(TILES, after=node("ProbeControlTiles", side=8, batch=batch))
    assert share(comfy, flow, mode, kind, hint_side=128) <= TOLERANCE


def test_in_tiles_a_control_on_the_model_keeps_its_settings(comfy: Host) -> None:
    """With native control in front, and two hints for two pictures; each tile has its own part of hint and mask."""
    flow = replace(TILES, sampling=replace(TILES.sampling, batch=2))
    native = Control("native", "sd15_other.safetensors", hint_side=128, hint_seed=6)
    settings = {"routing": COND_ONLY, "mask": RIGHT_HALF, "scales": {"profile": "soft"}}
    wide = {"hints": 2, "hint_side": 128, "hint_width": 192}
    ours = Control(window=(0.0, 0.6), strength=0.8, **wide, **settings)
    plain = flow.run(comfy, "plain")
    cut = replace(ours, kind="routed", hint_cut=True)
    travelling = flow.run(comfy, "travelling", native, cut)
    on_model = flow.run(comfy, "model", native, ours)
    assert effect_share(plain, travelling, on_model) <= 1e-5
    assert on_model.calls == travelling.calls


def test_in_tiles_a_control_is_refused_beside_one_for_the_positive_that_comfyui_doubles(
    comfy: Host,
) -> None:
    hint = Control(hint_side=128)

    def doubled(graph: Graph, cond: Link) -> Link:
        net = graph.add("ControlNetLoader", control_net_name="sd15.safetensors")
        given = {"control_net": net, "image": hint.picture(graph), "strength": 1.0}
        return graph.add("ControlNetApply", conditioning=cond, **given)

    with pytest.raises(Failed, match="tile"):
        replace(TILES, positive=doubled).run(comfy, "refused", hint)


@MODES
def test_cleanup_before_pre_run_takes_nothing_away(comfy: Host, mode: str) -> None:
    assert share(comfy, Flow(family(SD15), after=node("ProbeCleanUpFirst")), mode) <= TOLERANCE


@MODES
def test_another_get_control_on_the_object_is_asked_in_each_call(comfy: Host, mode: str) -> None:
    flow = Flow(family(SD15), after=node("ProbeOtherGetControl", name=f"asked {mode}"))
    assert share(comfy, flow, mode) <= TOLERANCE
    found = comfy.saved("ours")
    assert len(found.counts[f"asked {mode}"]) == len(found.calls)


@MODES
def test_sub_idxs_set_on_the_object_leave_it_right(comfy: Host, mode: str) -> None:
    flow = Flow(family(SD15), Sampling(batch=2))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control(NATIVE[mode], hints=2))
    windows = replace(flow, after=node("ProbeSubIdxs"))
    ours = windows.run(comfy, "ours", Control("routed", hints=2, routing={"mode": mode}))
    assert effect_share(plain, native, ours) <= TOLERANCE


@MODES
def test_a_hook_on_the_prompt_whose_clones_forget_works(comfy: Host, mode: str) -> None:
    def hooked(graph: Graph, cond: Link) -> Link:
        return graph.add("ProbeForgetfulHook", conditioning=cond)

    assert share(comfy, Flow(family(SD15), positive=hooked), mode) <= TOLERANCE


@pytest.mark.parametrize("chain", [["routed"], ["routed", "native"], ["native", "routed"]], ids=str)
def test_both_is_native_control_where_no_hook_runs(comfy: Host, chain: list[str]) -> None:
    flow = Flow(family(SD15), sampler=own_options)
    other = [{}, {"file": "sd15_other.safetensors", "hint_seed": 6, "window": (0.2, 0.8)}]
    plain = flow.run(comfy, "plain")
    kinds = [(Control("native", **o), Control(k, **o)) for k, o in zip(chain, other, strict=False)]
    native = flow.run(comfy, "native", *(pair[0] for pair in kinds))
    ours = flow.run(comfy, "ours", *(pair[1] for pair in kinds))
    assert effect_share(plain, native, ours) <= TOLERANCE


@pytest.mark.parametrize("mode", ["cond_only", "target_gain"])
def test_another_routing_names_the_sampler_where_no_hook_runs(comfy: Host, mode: str) -> None:
    flow = Flow(family(SD15), sampler=own_options)
    with pytest.raises(Failed, match=r"predict_noise \(.*travelling\).* both"):
        flow.run(comfy, "refused", Control("routed", routing={"mode": mode}))


@pytest.mark.parametrize("kind", ["routed", "loaded"])
def test_a_net_of_another_family_stops_the_run(comfy: Host, kind: str) -> None:
    with pytest.raises(Failed, match="made for SDXL"):
        Flow(family(SD15)).run(comfy, "refused", Control(kind, file="sdxl.safetensors"))


def test_a_forward_of_its_own_stops_the_run(comfy: Host) -> None:
    flow = Flow(family(SD15), after=node("ProbeOwnForward", name="own"))
    with pytest.raises(Failed, match="forward of its own"):
        flow.run(comfy, "refused", Control("routed"))


def test_settings_travel_to_both_kinds_of_apply_node(comfy: Host) -> None:
    """Over one Route ControlNet more, and to the MODEL."""
    flow, control = Flow(family(SD15)), Control(routing=COND_ONLY, scales={"profile": "soft"})
    expected = flow.run(comfy, "expected", control).samples
    for kind in ("routed_twice", "routed_to_model"):
        assert torch.equal(flow.run(comfy, kind, replace(control, kind=kind)).samples, expected)


def test_a_wrong_number_of_scales_is_refused_by_the_node(comfy: Host) -> None:
    scales = {"profile": "custom", "custom_scales": "1, 1, 1"}
    with pytest.raises(Failed, match="13") as caught:
        Flow(family(SD15)).run(comfy, "refused", Control("routed", scales=scales))
    assert caught.value.node == "RouteControlNet"


def test_one_net_on_both_faces_is_loaded_once(comfy: Host) -> None:
    flow = Flow(family(SD15), watched=True)
    second = {"strength": 0.5, "hint_seed": 6}
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native"), Control("native", **second))
    ours = flow.run(comfy, "ours", Control(), Control("routed", **second))
    assert effect_share(plain, native, ours) <= TOLERANCE
    assert comfy.memory("ours")["loaded"].count("ControlNet") == 1


@pytest.mark.parametrize("ending", ["ProbeBreak", "ProbeInterrupt"])
def test_nothing_lives_on_after_the_end_of_a_run(comfy: Host, ending: str) -> None:
    flow, control = Flow(family(SD15)), Control("routed", routing=COND_ONLY)
    expected = flow.run(comfy, "expected", control)
    broken = replace(flow, after=node(ending, call=3))
    with pytest.raises(Failed):
        broken.run(comfy, "broken", control)
    graph = Graph()
    graph.add("ProbeMemory", name="after")
    comfy.run(graph.nodes)
    assert comfy.memory("after")["stacks"] == 0
    assert torch.equal(flow.run(comfy, "again", control).samples, expected.samples)


def test_the_xray_finds_a_run_that_only_the_prompts_had_control_in(comfy: Host) -> None:
    graph, shape = Graph(), family(SD15)
    model = shape.model(graph)
    net = graph.add("LoadControlNet", control_net_name="sd15.safetensors")
    routing = graph.add(
        "CFGHintRouting", mode="cond_only", cond_weight=1.0, uncond_weight=0.5, target_gain=2.0
    )
    both = graph.add(
        "ControlNetApplyAdvanced",
        positive=shape.cond(graph, 1),
        negative=shape.cond(graph, 2),
        control_net=graph.add("RouteControlNet", control_net=net, routing=routing),
        image=Control().picture(graph),
        **Control().numbers,
    )
    latents = Sampling().ksampler(graph, model, both, [both[0], 1])
    seen = graph.add("ControlXRay", model=model, samples=latents, leave_one_out=True)
    shown = graph.add("PreviewAny", source=[seen[0], 1])[0]
    text = comfy.run(save(graph, latents, "xray"))[shown]["text"][0]
    assert "1 ControlNet" in text, text
