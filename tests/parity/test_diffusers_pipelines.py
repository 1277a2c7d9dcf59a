"""A plain diffusers pipeline with our units gives the latents of diffusers' own ControlNet pipelines."""

from dataclasses import replace
from functools import cache, partial
from typing import Any

import pytest
import torch

pytest.importorskip("diffusers")

from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionControlNetPAGPipeline,
    StableDiffusionPAGPipeline,
)
from diffusers_models import (
    FAMILIES,
    as_ours,
    build_pipeline,
    controlnet,
    plain_pipeline,
    run_arguments,
    unet,
)

import cnet_core as cn

#: diffusers' Euler scheduler with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

#: Largest difference of the last latents, relative to the largest latent, in float32.
TOLERANCE = 1e-5
WHOLE = ((0.0, 1.0),)


def hint(seed: int) -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@cache
def base(family_name: str) -> Any:
    return unet(FAMILIES[family_name])


@cache
def pair(family_name: str, seed: int, pooled: bool) -> tuple[Any, cn.ControlNet]:
    """diffusers' ControlNet and ours of the same weights."""
    net = controlnet(FAMILIES[family_name], seed, pooled)
    return net, as_ours(net)


@cache
def without_control(family_name: str, scheduler: Any, pictures: int, **run: Any) -> torch.Tensor:
    family = FAMILIES[family_name]
    pipe = plain_pipeline(family, base(family_name), scheduler and scheduler())
    return pipe(**{**run_arguments(family, pictures), **run}).images


def compare(
    name: str,
    *,
    guess: bool = False,
    scales: tuple[float, ...] = (0.8,),
    windows: tuple[tuple[float, float], ...] = WHOLE,
    pooled: bool = False,
    pictures: int = 1,
    guidance: float = 7.5,
    scheduler=None,
) -> None:
    """Runs diffusers' ControlNet pipeline and ours, and compares; also that control did something."""
    family, model = FAMILIES[name], base(name)
    nets, ours_too = zip(*(pair(name, n, pooled) for n in range(1, len(scales) + 1)), strict=True)
    hints = [hint(seed) for seed in range(len(nets))]
    # Windows need steps to begin and end at; without guidance control has less effect a step.
    steps = 4 if windows == WHOLE and guidance > 1 else 10
    chosen = {"guidance_scale": guidance, "num_inference_steps": steps}
    run = {**run_arguments(family, pictures), **chosen}
    windows = windows * len(nets) if windows == WHOLE else windows
    starts, ends = ([w[k] for w in windows] for k in (0, 1))
    one = len(nets) == 1
    theirs = build_pipeline(family, model, list(nets), scheduler and scheduler())(
        image=hints[0] if one else hints,
        controlnet_conditioning_scale=scales[0] if one else list(scales),
        control_guidance_start=starts,
        control_guidance_end=ends,
        guess_mode=guess,
        **run,
    ).images
    profile = cn.profile("diffusers_guess" if guess else "diffusers")
    units = [
        profile.unit(net, picture, scale, *window)
        for net, picture, scale, window in zip(ours_too, hints, scales, windows, strict=True)
    ]
    pipe = plain_pipeline(family, model, scheduler and scheduler())
    ours = cn.control_pipeline(pipe, units)(**run).images
    plain = without_control(name, scheduler, pictures, **chosen)
    print(f"difference {relative(ours, theirs):.1e}, without control {relative(plain, theirs):.1e}")
    assert relative(ours, theirs) <= TOLERANCE
    assert relative(plain, theirs) > 100 * TOLERANCE


CASES = {
    "plain": {},
    "guess mode": {"guess": True},
    "without guidance": {"guidance": 1.0},
    "guess mode without guidance": {"guess": True, "guidance": 1.0},
    "window": {"windows": ((0.2, 0.75),)},
    "window in guess mode": {"guess": True, "windows": ((0.35, 1.0),)},
    "two nets": {"scales": (0.5, 1.0)},
    "two nets, each its window": {"scales": (0.5, 1.0), "windows": ((0.0, 0.6), (0.3, 0.9))},
    "two nets in guess mode": {
        "guess": True,
        "scales": (0.5, 1.0),
        "windows": ((0.0, 0.6), (0.3, 0.9)),
    },
    "pooled": {"pooled": True},
    "pooled in guess mode": {"pooled": True, "guess": True},
    "two pictures": {"pictures": 2, "guess": True},
    "Euler": {
        "scheduler": partial(EulerDiscreteScheduler, steps_offset=1),
        "windows": ((0.0, 0.5),),
    },
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_our_patched_pipeline_gives_diffusers_latents(family: str, case) -> None:
    compare(family, **case)


@pytest.mark.parametrize("guidance", [7.5, 1.0])
def test_pipelines_with_perturbed_attention_have_a_third_branch(guidance: float) -> None:
    family = FAMILIES["SD1.5"]
    model, net = unet(family), controlnet(family, 1)
    run = {"guidance_scale": guidance, "pag_scale": 3.0, **run_arguments(family, pictures=2)}
    run["num_inference_steps"] = 4
    with_net = replace(family, controlled=StableDiffusionControlNetPAGPipeline)
    hints = torch.cat([hint(0), hint(1)])
    theirs = build_pipeline(with_net, model, [net])(image=hints, **run).images
    pipe = plain_pipeline(replace(family, plain=StableDiffusionPAGPipeline), model)
    unit = cn.profile("diffusers").unit(as_ours(net), hints)
    ours = cn.control_pipeline(pipe, unit)(**run).images
    assert relative(ours, theirs) <= TOLERANCE
    assert relative(pipe(**run).images, theirs) > 100 * TOLERANCE


def test_the_xray_sees_the_features_of_a_real_unet() -> None:
    family = FAMILIES["SD1.5"]
    model = unet(family)
    skips: dict[int, torch.Tensor] = {}
    handles = [model.conv_in.register_forward_hook(lambda m, a, out: skips.setdefault(0, out))]
    handles.append(model.mid_block.register_forward_hook(lambda m, a, o: skips.setdefault(12, o)))
    unit = cn.ControlUnit(as_ours(controlnet(family, 1)), hint(1))
    controlled = cn.control_pipeline(plain_pipeline(family, model), unit)
    controlled(**{**run_arguments(family), "num_inference_steps": 2})
    for handle in handles:
        handle.remove()
    call = controlled.record.calls[0]
    assert call.features.shape == (13, 2)
    assert (controlled.record.ratios("cond") > 0).all()
    for block, feature in skips.items():
        want = feature.double().flatten(1).norm(dim=1)
        torch.testing.assert_close(torch.from_numpy(call.features[block]), want, rtol=1e-4, atol=0)
