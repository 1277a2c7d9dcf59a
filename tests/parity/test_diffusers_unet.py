"""The adapter on diffusers' real UNets: shapes, SDXL's vector, what the caller passes, other sizes."""

import pytest
import torch

pytest.importorskip("diffusers")

from diffusers_models import (
    FAMILIES,
    SD15,
    SDXL,
    Family,
    as_ours,
    controlnet,
    plain_pipeline,
    run_arguments,
    unet,
)
from torch._dynamo.utils import counters

import cnet_core as cn


def call(family: Family, height: int = 8, width: int = 8, rows: int = 2) -> dict[str, object]:
    generator = torch.Generator().manual_seed(4)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    given = {
        "sample": noise(rows, 4, height, width),
        "timestep": 500,
        "encoder_hidden_states": noise(rows, 7, 24),
    }
    if family is SDXL:
        ids = torch.tensor([[64.0, 48, 0, 8, 64, 64]]).repeat(rows, 1)
        given["added_cond_kwargs"] = {"text_embeds": noise(rows, 20), "time_ids": ids}
    return given


def by_hand(model, net, given: dict[str, object], hint: torch.Tensor) -> torch.Tensor:
    """diffusers' own way: its ControlNet, then its UNet with the residuals."""
    skips, middle = net(**given, controlnet_cond=hint, conditioning_scale=0.7, return_dict=False)
    return model(
        **given, down_block_additional_residuals=skips, mid_block_additional_residual=middle
    ).sample


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 8), (16, 24)])
def test_one_call_equals_diffusers_own(family: Family, height: int, width: int) -> None:
    model, net = unet(family), controlnet(family, 1)
    hint = torch.rand(1, 3, 8 * height, 8 * width, generator=torch.Generator().manual_seed(6))
    given = call(family, height, width)
    unit = cn.ControlUnit(as_ours(net), hint, 0.7)
    with cn.patch_unet(model, unit):
        ours = model(**given).sample
    theirs = by_hand(model, net, given, hint)
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_compiled_it_breaks_the_graph_once(family: Family) -> None:
    model, given = unet(family), call(family) | {"timestep": torch.tensor(500)}
    hint = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    torch.compiler.reset()
    counters.clear()
    with (
        torch.no_grad(),
        cn.patch_unet(model, cn.ControlUnit(as_ours(controlnet(family, 1)), hint)),
    ):
        want = model(**given).sample
        got = torch.compile(model, backend="eager")(**given).sample
    torch.compiler.reset()
    assert torch.equal(got, want)
    assert len(counters["graph_break"]) == 1, counters["graph_break"]


def test_residuals_of_the_caller_are_kept() -> None:
    model, net, given = unet(SD15), controlnet(SD15, 1), call(SD15)
    hint = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    ours = as_ours(net)
    with cn.patch_unet(model, [cn.ControlUnit(ours, hint, 0.7)] * 2):
        want = model(**given).sample
    with cn.patch_unet(model, cn.ControlUnit(ours, hint, 0.7)):
        got = by_hand(model, net, given, hint)
    assert (got - want).abs().max() <= 1e-5 * want.abs().max()


def test_a_controlnet_of_another_family_is_refused() -> None:
    model, other = unet(SD15), as_ours(controlnet(SDXL, 1))
    with (
        cn.patch_unet(model, cn.ControlUnit(other, torch.zeros(1, 3, 64, 64))),
        pytest.raises(ValueError, match="no `y`"),
    ):
        model(**call(SD15))


def test_sdxl_without_its_conditions_is_refused() -> None:
    model, net = unet(SDXL), as_ours(controlnet(SDXL, 1))
    given = call(SDXL) | {"added_cond_kwargs": None}
    with (
        cn.patch_unet(model, cn.ControlUnit(net, torch.zeros(1, 3, 64, 64))),
        pytest.raises(ValueError, match="without `added_cond_kwargs`"),
    ):
        model(**given)


def test_the_users_own_callback_is_called_and_the_attachment_knows_the_step() -> None:
    pipe = plain_pipeline(SD15, unet(SD15))
    net = as_ours(controlnet(SD15, 1))
    seen = []

    def callback(pipe, index, timestep, tensors):
        (attachment,) = cn.attachments(pipe.unet)
        seen.append((index, attachment.step, attachment.cfg_scale, attachment.rows))
        return tensors

    unit = cn.ControlUnit(net, torch.zeros(1, 3, 64, 64), routing=cn.HintRouting.target_gain(2.0))
    controlled = cn.control_pipeline(pipe, unit)
    controlled(guidance_scale=5.0, callback_on_step_end=callback, **run_arguments(SD15))
    assert seen == [(i, (i, 10), 5.0, ("uncond", "cond")) for i in range(10)]
    assert cn.attachments(pipe.unet) == ()


def test_a_pipeline_that_fails_is_left_without_control() -> None:
    pipe = plain_pipeline(SD15, unet(SD15))
    wrong_size = cn.ControlUnit(as_ours(controlnet(SD15, 1)), torch.zeros(1, 3, 128, 64))
    with pytest.raises(ValueError, match="the latents need 64 x 64"):
        cn.control_pipeline(pipe, wrong_size)(**run_arguments(SD15))
    assert cn.attachments(pipe.unet) == ()
