"""An inpainting UNet (9 channels) with a ControlNet of 4: diffusers gives it the latents alone, and so do we."""

import pytest
import torch

pytest.importorskip("diffusers")

from diffusers import (
    AutoencoderTiny,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers_models import SD15, as_ours, controlnet, ddim, run_arguments
from fakes import random_hint, randomise_

import cnet_core as cn


def pipeline(kind: type, **more: object):
    """An inpainting pipeline whose encoder is deterministic."""
    widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    model = UNet2DConditionModel(**{**SD15.shape, **SD15.unet_only, "in_channels": 9})
    pipe = kind(
        vae=randomise_(AutoencoderTiny(**widths), 3),
        unet=randomise_(model, 0),
        scheduler=ddim(),
        **dict.fromkeys(["text_encoder", "tokenizer", "safety_checker", "feature_extractor"]),
        requires_safety_checker=False,
        **more,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("guess", [False, True])
def test_our_patched_inpainting_pipeline_gives_diffusers_latents(guess: bool) -> None:
    net, hint = controlnet(SD15, 1), random_hint()
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    run = run_arguments(SD15) | {"num_inference_steps": 4, "guidance_scale": 7.5, "strength": 1.0}
    run |= {"image": random_hint(seed=8), "mask_image": mask}
    theirs = pipeline(StableDiffusionControlNetInpaintPipeline, controlnet=net)(
        control_image=hint, controlnet_conditioning_scale=1.0, guess_mode=guess, **run
    ).images
    unit = cn.profile("diffusers_guess" if guess else "diffusers").unit(as_ours(net), hint)
    pipe = pipeline(StableDiffusionInpaintPipeline)
    ours = cn.control_pipeline(pipe, unit)(**run).images
    assert relative(ours, theirs) <= 1e-5
    assert relative(pipe(**run).images, theirs) > 1e-3


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())
