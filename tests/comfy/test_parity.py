"""Our nodes against ComfyUI's own, in a real ComfyUI: the same numbers."""

import pytest
import torch
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Family, Graph, Sampling
from host import Host
from weights import SD15, SDXL, family

#: Largest difference as a share of the control's own effect.
TOLERANCE = 1e-3
SAMPLERS = ("euler", "dpmpp_2m", "euler_ancestral")
STRENGTHS = (0.5, 1.0, 1.3)
#: 0.25 is met exactly by a step of the "normal" scheduler with five steps.
WINDOWS = ((0.0, 1.0), (0.2, 0.7), (0.25, 0.75))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_both_and_uniform_equal_native_control_on_sd15(
    comfy: Host, sampler: str, strength: float, window: tuple[float, float]
) -> None:
    how = Sampling(sampler=sampler)
    numbers = {"strength": strength, "window": window}
    assert share(comfy, Flow(family(SD15), how), **numbers) <= TOLERANCE


@pytest.mark.parametrize("window", WINDOWS[:2], ids=str)
@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_both_and_uniform_equal_native_control_on_sdxl(
    comfy: Host, sampler: str, strength: float, window: tuple[float, float]
) -> None:
    flow = Flow(family(SDXL), Sampling(sampler=sampler))
    numbers = {"strength": strength, "window": window}
    assert share(comfy, flow, file="sdxl.safetensors", **numbers) <= TOLERANCE


@pytest.mark.parametrize(("config", "file"), [(SD15, "sd15"), (SDXL, "sdxl")], ids=["sd15", "sdxl"])
def test_one_unet_call_agrees_to_rounding(comfy: Host, config: object, file: str) -> None:
    flow = Flow(family(config), Sampling(steps=1))
    assert share(comfy, flow, file=f"{file}.safetensors") <= 1e-5


@pytest.mark.parametrize("steps", [11, 21])
def test_a_window_that_begins_at_a_step_is_native_controls(comfy: Host, steps: int) -> None:
    flow = Flow(family(SD15), Sampling(steps=steps))
    assert share(comfy, flow, window=(0.1, 0.3)) <= TOLERANCE


def test_cond_only_equals_native_on_the_positive_with_half_the_unet_calls(comfy: Host) -> None:
    flow = Flow(family(SD15))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native_positive"))
    ours = flow.run(comfy, "ours", Control(routing=COND_ONLY))
    assert effect_share(plain, native, ours) <= TOLERANCE
    assert (len(ours.calls), len(native.calls)) == (5, 10)


@pytest.mark.parametrize(
    "control",
    [
        Control(strength=0.0),
        Control(file="fresh.safetensors"),
        Control(window=(0.8, 0.2)),
        Control("native", window=(0.8, 0.2)),
    ],
    ids=["strength 0", "fresh", "a start after the end", "as native"],
)
def test_a_control_of_nothing_changes_no_bit(comfy: Host, control: Control) -> None:
    flow = Flow(family(SD15))
    plain, ours = flow.run(comfy, "plain"), flow.run(comfy, "ours", control)
    assert torch.equal(plain.samples, ours.samples)


def test_a_control_net_of_comfyuis_loader_gives_the_same(comfy: Host) -> None:
    flow = Flow(family(SD15))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native", window=(0.2, 0.7)))
    ours = flow.run(comfy, "ours", Control("ours_from_native_loader", window=(0.2, 0.7)))
    assert effect_share(plain, native, ours) <= 1e-5


@pytest.mark.parametrize("loader", ["ours", "ours_from_native_loader"])
def test_a_shuffle_control_net_is_pooled_as_comfyui_pools_it(comfy: Host, loader: str) -> None:
    flow, file = Flow(family(SD15)), "sd15_shuffle.safetensors"
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native", file=file))
    ours = flow.run(comfy, "ours", Control(loader, file=file))
    assert effect_share(plain, native, ours) <= TOLERANCE


@pytest.mark.parametrize("side", [40, 96, 200])
def test_a_hint_of_another_size_is_fitted_as_comfyui_does(comfy: Host, side: int) -> None:
    assert share(comfy, Flow(family(SD15)), hint_side=side) <= TOLERANCE


def test_two_controls_add_up(comfy: Host) -> None:
    other = {"file": "sd15_other.safetensors", "hint_seed": 6, "strength": 0.6}
    flow = Flow(family(SD15))
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native"), Control("native", **other))
    ours = flow.run(comfy, "ours", Control(), Control(**other))
    mixed = flow.run(comfy, "mixed", Control("native"), Control(**other))
    assert effect_share(plain, native, ours) <= TOLERANCE
    assert effect_share(plain, native, mixed) <= TOLERANCE


def test_model_sampling_set_behind_the_node_counts(comfy: Host) -> None:
    def zero_snr(graph: Graph, model: list) -> list:
        return graph.add("ModelSamplingDiscrete", model=model, sampling="eps", zsnr=True)

    flow = Flow(family(SD15), Sampling(steps=8), after=zero_snr)
    assert share(comfy, flow, window=(0.3, 0.6)) <= TOLERANCE


def test_inpaint_models_with_nine_channels(comfy: Host) -> None:
    inpaint: Family = family(SD15).inpaint()
    assert share(comfy, Flow(inpaint)) <= TOLERANCE


def share(comfy: Host, flow: Flow, **control: object) -> float:
    """Returns how far ours is from native control, as a share of its effect."""
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native", **control))
    ours = flow.run(comfy, "ours", Control("ours", **control))
    assert len(ours.calls) == len(native.calls)
    return effect_share(plain, native, ours)
