"""The embedded tiny Stable Diffusion, ready to use: draws pictures from prompts and hints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..checkpoints import load_controlnet
from ..checkpoints.container.files import read_tensors
from ..checkpoints.keys import check_keys
from ..diffusion.noise_schedule import TIMESTEPS
from ..diffusion.samplers import SAMPLERS, PredictNoise
from ..engine.stack import ControlUnit, Counts
from ..nets.config import UNetConfig
from ..nets.controlnet import ControlNet
from ..nets.unet import UNet
from ..patching import patch_unet
from .autoencoder import DOWNSCALE, LATENT_CHANNELS, Autoencoder
from .text import TextEmbedding

#: Stable Diffusion 1.x in all but width: 12 + middle + 12 blocks, norms of 32 groups.
TINY = UNetConfig(model_channels=64, channel_mult=(1, 1, 2, 2), context_dim=64, num_heads=4)
#: The pictures' side that the model was trained for, in pixels.
SIDE = 128
WEIGHTS = Path(__file__).parent / "weights"

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class TinyStableDiffusion:
    """Autoencoder, UNet, text embedding and ControlNet of the embedded model."""

    autoencoder: Autoencoder
    unet: UNet
    text: TextEmbedding
    control_net: ControlNet

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> "TinyStableDiffusion":
        """Returns the model with its trained weights, in float32 on the CPU, fixed.

        Raises:
            FileNotFoundError: the folder lacks a file.
            ValueError: a file is damaged or holds another model.
        """
        model = cls(
            _load_into(Autoencoder(), folder / "autoencoder.safetensors"),
            _load_into(UNet(TINY), folder / "unet.safetensors"),
            _load_into(TextEmbedding(), folder / "text.safetensors"),
            load_controlnet(folder / "control_net.safetensors", dtype=torch.float32),
        )
        model.control_net.requires_grad_(False)
        return model

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[str],
        *,
        steps: int = 20,
        cfg_scale: float = 7.5,
        seed: int = 0,
        side: int = SIDE,
        sampler: str = "ddim",
        units: Sequence[ControlUnit] = (),
        counts: Counts | None = None,
    ) -> Iterator[Tensor]:
        """Yields the latents (B, 4, side/8, side/8) after each step; B is the number of prompts.

        The units stay on the UNet until the last step, or until the iterator is closed.

        Both branches of guidance share one UNet batch, uncond first.

        Args:
            prompts: one per picture; "" is the null text.
            steps: sampler steps, at least 1.
            cfg_scale: eps = uncond + cfg_scale * (cond - uncond).
            seed: of the first picture's starting noise; the next has the next seed.
            side: of the pictures in pixels, a multiple of 8.
            sampler: "ddim", "euler" or "dpmpp_2m".
            units: the controls, if any.
            counts: collects how much the units compute.
        """
        if not 1 <= steps <= TIMESTEPS or side % DOWNSCALE:
            raise ValueError(
                f"`steps` is {steps} and `side` {side}; they must be within 1..{TIMESTEPS} and a multiple of "
                f"{DOWNSCALE}."
            )
        predict = self._guide(prompts, cfg_scale)
        noise = starting_noise(len(prompts), side, seed).to(self.text.positions.device)
        attachment = patch_unet(self.unet, units)
        attachment.cfg_scale = cfg_scale
        with attachment:
            yield from SAMPLERS[sampler](predict, noise, steps)
        if counts is not None:
            counts.add(attachment.counts)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W), nominally 0..1 and not clamped."""
        return self.autoencoder.decode(latents)

    def _guide(self, prompts: Sequence[str], scale: float) -> PredictNoise:
        context = self.text([""] * len(prompts) + list(prompts))

        def predict(x: Tensor, timesteps: Tensor) -> Tensor:
            noise = self.unet(torch.cat([x, x]), torch.cat([timesteps, timesteps]), context)
            uncond, cond = noise.chunk(2)
            return uncond + scale * (cond - uncond)

        return predict


def starting_noise(count: int, side: int, seed: int) -> Tensor:
    """Returns noise of the seeds `seed`, `seed` + 1, …: (count, 4, side/8, side/8)."""
    shape = (1, LATENT_CHANNELS, side // DOWNSCALE, side // DOWNSCALE)
    seeds = range(seed, seed + count)
    return torch.cat(
        [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )


def _load_into(module: M, path: Path) -> M:
    tensors, _ = read_tensors(path)
    check_keys(module, tensors, str(path))
    module.load_state_dict(tensors)
    return module.train(False).requires_grad_(False)
