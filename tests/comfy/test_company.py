"""Our control beside nodes that reach the UNet in other packs' ways: it is right there, or stops the run and says why.

`run_packs.py` tries the real packs.
"""

from dataclasses import replace

import pytest
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Graph, Link, Sampling
from host import Failed, Host
from hosts import node, sampled_with
from weights import SD15, family

TOLERANCE = 1e-3
#: Routing -> how native control is wired to be the same.
NATIVE = {"both": "native", "cond_only": "native_positive"}
TARGET_GAIN = {"mode": "target_gain", "target_gain": 2.0}
PICTURES = 6
#: The first steps, in which the probe's guider drops the negative.
UNGUIDED = 2
MODES = pytest.mark.parametrize("mode", NATIVE)


def share_beside(
    comfy: Host, flow: Flow, mode: str, expected: Flow | None = None, face: str = "ours"
) -> float:
    """Returns how far ours is from native control on the same graph, or on another one that gives the same."""
    expected = expected or flow
    hints = flow.sampling.batch
    plain = expected.run(comfy, "plain")
    native = expected.run(comfy, "native", Control(NATIVE[mode], hints=hints))
    ours = flow.run(comfy, "ours", Control(face, hints=hints, routing={"mode": mode}))
    return effect_share(plain, native, ours)


def refused(comfy: Host, flow: Flow, *controls: Control) -> str:
    """Returns the error of a run."""
    with pytest.raises(Failed) as caught:
        flow.run(comfy, "refused", *controls)
    return str(caught.value)


@pytest.mark.parametrize("batch", [1, 2, 4], ids=lambda batch: f"{batch} in a call")
@MODES
def test_tiles_inside_one_sampling_are_refused(comfy: Host, batch: int, mode: str) -> None:
    tiles = node("ProbeTiles", side=8, batch=batch)
    flow = Flow(family(SD15), Sampling(side=128), after=tiles)
    assert "tile" in refused(comfy, flow, Control(routing={"mode": mode}))


@MODES
def test_one_tile_for_the_whole_picture_changes_nothing(comfy: Host, mode: str) -> None:
    plain = Flow(family(SD15), Sampling(steps=2, batch=2))
    tiled = replace(plain, after=node("ProbeTiles", side=8, batch=4))
    assert share_beside(comfy, tiled, mode, plain) <= TOLERANCE


@pytest.mark.parametrize("announced", ["context_window", "ad_params"])
@MODES
def test_hints_go_to_their_pictures_in_windows(comfy: Host, announced: str, mode: str) -> None:
    """The pictures of a batch do not see each other, so native control without windows is what is right."""
    whole = Flow(family(SD15), Sampling(steps=3, batch=PICTURES))
    windows = replace(whole, after=node("ProbeWindows", length=3, announced=announced))
    assert share_beside(comfy, windows, mode, whole) <= TOLERANCE


@MODES
def test_control_that_never_reaches_the_unet_stops_the_run_at_once(comfy: Host, mode: str) -> None:
    flow = Flow(family(SD15), after=node("ProbeOwnForward", name="own forward"), watched=True)
    message = refused(comfy, flow, Control(routing={"mode": mode}))
    assert "UNet" in message
    assert "ControlNet would have no effect" in message
    flow = replace(flow, after=lambda graph, model: model)
    assert len(flow.run(comfy, "after").counts["own forward"]) == 1


def test_options_copied_before_control_was_on_the_model_are_refused(comfy: Host) -> None:
    flow = Flow(family(SD15), before=node("ProbeEarlyOptions"))
    assert "ApplyControlNet" in refused(comfy, flow, Control())


def test_options_copied_before_the_run_are_right_with_both(comfy: Host) -> None:
    flow = Flow(family(SD15), after=node("ProbeEarlyOptions"))
    assert share_beside(comfy, flow, "both") <= TOLERANCE


def test_options_copied_before_the_run_are_refused_where_roles_count(comfy: Host) -> None:
    flow = Flow(family(SD15), after=node("ProbeEarlyOptions"))
    assert "ApplyControlNet" in refused(comfy, flow, Control(routing=COND_ONLY))


@pytest.mark.parametrize("face", ["ours", "routed"])
@MODES
def test_control_is_resized_to_features_that_a_block_shrinks(
    comfy: Host, mode: str, face: str
) -> None:
    fitted = Flow(
        family(SD15),
        Sampling(side=128),
        after=node("ProbeOwnDownsample", resize_control=True),
    )
    shrunk = replace(fitted, after=node("ProbeOwnDownsample", resize_control=False))
    assert share_beside(comfy, shrunk, mode, fitted, face) <= TOLERANCE
    assert "resized to fit" in comfy.log


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@MODES
def test_a_second_pass_on_other_latents_gets_no_control(
    comfy: Host, first: bool, mode: str, place: str
) -> None:
    flow = Flow(family(SD15), **{place: node("ProbeSecondPass", first=first)})
    assert share_beside(comfy, flow, mode) <= TOLERANCE


def test_target_gain_scales_the_cond_in_steps_that_drop_the_negative(comfy: Host) -> None:
    """Two samplers, the first at CFG 1, do the same steps."""
    dropping = Flow(family(SD15), Sampling(steps=4), sampler=_drops_the_negative)
    two = replace(dropping, sampler=_two_samplers)
    plain = dropping.run(comfy, "plain")
    expected = two.run(comfy, "expected", Control(routing=TARGET_GAIN))
    found = dropping.run(comfy, "found", Control(routing=TARGET_GAIN))
    assert effect_share(plain, expected, found) <= TOLERANCE


@MODES
def test_a_deep_copy_of_the_options_in_a_run_keeps_the_control(comfy: Host, mode: str) -> None:
    flow = Flow(family(SD15), after=node("ProbeDeepCopy"))
    assert share_beside(comfy, flow, mode) <= TOLERANCE


@MODES
def test_wrappers_replaced_on_the_model_keep_the_control(comfy: Host, mode: str) -> None:
    flow = Flow(family(SD15), after=node("ProbeReplaceWrappers"))
    assert share_beside(comfy, flow, mode) <= TOLERANCE


def _drops_the_negative(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    guider = graph.add(
        "ProbeDropNegative",
        model=model,
        positive=positive,
        negative=negative,
        cfg=how.cfg,
        steps=UNGUIDED,
    )
    return sampled_with(graph, model, guider, how)


def _two_samplers(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """The guider's steps in two samplers, which keep the noise between them."""
    parts = [
        {"add_noise": "enable", "cfg": 1.0, "start_at_step": 0, "end_at_step": UNGUIDED},
        {"add_noise": "disable", "cfg": how.cfg, "start_at_step": UNGUIDED, "end_at_step": 99},
    ]
    latents = how.latent(graph)
    for part in parts:
        latents = graph.add(
            "KSamplerAdvanced",
            model=model,
            noise_seed=how.seed,
            steps=how.steps,
            sampler_name=how.sampler,
            scheduler=how.scheduler,
            positive=positive,
            negative=negative,
            latent_image=latents,
            return_with_leftover_noise="enable",
            **part,
        )
    return latents
