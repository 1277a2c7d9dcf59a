"""Control in any diffusers pipeline, in a few lines. Runs offline: the models here are tiny and random.

With real ones only the loading differs:

    pipe = StableDiffusionPipeline.from_pretrained("...")
    net = cn.load_controlnet("control_v11p_sd15_canny.safetensors")
    hint = cn.hint_from_image(Image.open("edges.png"))
"""

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

import cnet_core as cn


def tiny_pipeline() -> StableDiffusionPipeline:
    """A Stable Diffusion 1.x in all but width, without text encoder and VAE."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 64, 64),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    scheduler = DDIMScheduler(clip_sample=False, steps_offset=1)
    missing = dict.fromkeys(
        ["vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor"]
    )
    return StableDiffusionPipeline(
        unet=unet, scheduler=scheduler, requires_safety_checker=False, **missing
    )


def tiny_controlnet() -> cn.ControlNet:
    """A ControlNet for it, with random weights."""
    torch.manual_seed(1)
    config = cn.UNetConfig(
        model_channels=32, channel_mult=(1, 2, 2, 2), context_dim=16, num_heads=4
    )
    return cn.ControlNet(config)


def main() -> dict[str, float]:
    """Returns by how much each way of control changes the latents."""
    pipe, net = tiny_pipeline(), tiny_controlnet()
    hint = torch.rand(1, 3, 64, 64)
    run = {
        "prompt_embeds": torch.randn(1, 7, 16),
        "negative_prompt_embeds": torch.randn(1, 7, 16),
        "latents": torch.randn(1, 4, 8, 8),
        "num_inference_steps": 5,
        "output_type": "latent",
    }
    units = {
        "control in both branches": cn.ControlUnit(net, hint),
        "in the prompt's branch only": cn.ControlUnit(
            net, hint, routing=cn.HintRouting.cond_only()
        ),
        "total gain 2 at any CFG scale": cn.ControlUnit(
            net, hint, routing=cn.HintRouting.target_gain(2.0)
        ),
        "as diffusers' guess_mode, first half": cn.profile("diffusers_guess").unit(
            net, hint, end_percent=0.5
        ),
    }
    plain = pipe(**run).images
    changes = {}
    for name, unit in units.items():
        controlled = cn.control_pipeline(pipe, unit)
        changes[name] = float((controlled(**run).images - plain).abs().mean())
    assert torch.equal(pipe(**run).images, plain)  # nothing is left behind
    return changes


if __name__ == "__main__":
    for name, change in main().items():
        print(f"{change:.4f}  {name}")
