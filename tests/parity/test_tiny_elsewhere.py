"""The embedded files in diffusers' classes: the same weights, the same numbers."""

import pytest
import torch
from torch import Tensor

from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.tiny.model import TINY, WEIGHTS, TinyStableDiffusion

DIFFUSERS_CONFIG = {
    "block_out_channels": (64, 64, 128, 128),
    "layers_per_block": 2,
    "cross_attention_dim": 64,
    "attention_head_dim": 4,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
}


@pytest.fixture(scope="module")
def call() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Latents, timesteps, text embeddings and a hint."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 16, 16, generator=generator)
    context = torch.randn(2, 8, TINY.context_dim, generator=generator)
    hint = (torch.rand(2, 3, 128, 128, generator=generator) > 0.9).float()
    return x, torch.tensor([900, 200]), context, hint


@pytest.fixture(scope="module")
def ours(call: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """Our prediction, and our residuals in block order."""
    model = TinyStableDiffusion.load()
    x, timesteps, context, hint = call
    with torch.no_grad():
        residuals = model.control_net(x, hint, timesteps, context)
        return model.unet(x, timesteps, context), list(residuals.blocks)


def weights(name: str) -> dict[str, Tensor]:
    """The embedded file as it is, in float32."""
    return {k: v.float() for k, v in read_tensors(WEIGHTS / f"{name}.safetensors")[0].items()}


def close(got: Tensor, want: Tensor) -> None:
    assert float((got - want).abs().max()) <= 1e-5 * float(want.abs().max())


@torch.no_grad()
def test_diffusers_unet(call, ours) -> None:
    diffusers = pytest.importorskip("diffusers")
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    up = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    unet = diffusers.UNet2DConditionModel(**DIFFUSERS_CONFIG, up_block_types=up)
    prefixed = {f"model.diffusion_model.{k}": v for k, v in weights("unet").items()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(prefixed, unet.config), strict=True)
    x, timesteps, context, _ = call
    close(unet(x, timesteps, context).sample, ours[0])


@torch.no_grad()
def test_diffusers_control_net(call, ours) -> None:
    diffusers = pytest.importorskip("diffusers")
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    net = diffusers.ControlNetModel(
        **DIFFUSERS_CONFIG, conditioning_embedding_out_channels=(16, 32, 96, 256)
    )
    prefixed = {f"control_model.{k}": v for k, v in weights("control_net").items()}
    net.load_state_dict(convert_controlnet_checkpoint(prefixed, net.config), strict=True)
    x, timesteps, context, hint = call
    down, middle = net(x, timesteps, context, hint, return_dict=False)
    for got, want in zip([*down, middle], ours[1], strict=True):
        close(got, want)
