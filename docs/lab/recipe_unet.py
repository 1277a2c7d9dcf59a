"""Trains the tiny UNet and its text embedding: `python docs/lab/recipe_unet.py --autoencoder FILE --out DIR`.

First at 64 px, where a step costs a quarter, then at 128 px, where pictures are shown.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from recipe import Batch, batches, load_autoencoder, optimise, save_weights
from torch import Tensor, nn

from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.diffusion.samplers import ddim, last
from cnet_core.nets.unet import UNet
from cnet_core.tiny.autoencoder import Autoencoder
from cnet_core.tiny.data import random_scene
from cnet_core.tiny.measure import nearest_colour, shape_mask
from cnet_core.tiny.model import TINY
from cnet_core.tiny.text import TextEmbedding

#: size -> (steps, batch, peak learning rate)
STAGES = {64: (2400, 32, 2e-3), 128: (320, 24, 1e-3)}
EMPTY_PROMPTS = 0.1


class TextToNoise(nn.Module):
    """The UNet and the text embedding as one module, trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(TINY)
        self.text = TextEmbedding()

    def forward(self, x: Tensor, timesteps: Tensor, prompts: list[str]) -> Tensor:
        return self.unet(x, timesteps, self.text(prompts))


def main() -> None:
    """Trains the stage asked for and writes `unet_SIZE.safetensors` and `text_SIZE.safetensors`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--size", type=int, choices=STAGES, required=True)
    parser.add_argument("--start", type=Path, help="folder with the stage before")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(2)
    model = TextToNoise()
    if args.start:
        model.unet.load_state_dict(read_tensors(args.start / "unet_64.safetensors")[0])
        model.text.load_state_dict(read_tensors(args.start / "text_64.safetensors")[0])
    average = train(model, load_autoencoder(args.autoencoder), args.size, args.steps, args.out)
    save_weights(average.unet, args.out / f"unet_{args.size}.safetensors")
    save_weights(average.text, args.out / f"text_{args.size}.safetensors")


def train(
    model: TextToNoise, encoder: Autoencoder, size: int, steps: int | None, out: Path
) -> TextToNoise:
    """Returns the averaged model after one stage."""
    planned, batch, rate = STAGES[size]
    stream = batches(encoder, size, batch, EMPTY_PROMPTS, torch.Generator().manual_seed(size))

    def loss_of(item: Batch) -> Tensor:
        return F.mse_loss(model(item.noisy, item.timesteps, item.prompts), item.noise)

    def report(step: int, average: nn.Module) -> str:
        assert isinstance(average, TextToNoise)
        if step % 1000 == 0:
            save_weights(average.unet, out / f"unet_{size}_at_{step}.safetensors")
            save_weights(average.text, out / f"text_{size}_at_{step}.safetensors")
        return colours_right(average, encoder, size)

    average = optimise(
        model,
        loss_of,
        stream,
        steps or planned,
        rate,
        report=report,
        log=out / f"unet_{size}.jsonl",
    )
    assert isinstance(average, TextToNoise)
    return average


@torch.no_grad()
def colours_right(
    model: TextToNoise, decoder: Autoencoder, size: int, count: int = 24, scale: float = 4.0
) -> str:
    """Returns how often shape and background have the prompt's colours, over `count` samples."""
    generator = torch.Generator().manual_seed(999)
    scene = random_scene(count, generator)
    noise = torch.randn(count, 4, size // 8, size // 8, generator=generator)
    latents = last(ddim(guide(model, scene.prompts(), scale), noise, 10))
    pictures = decoder.decode(latents)
    mask = shape_mask(pictures)
    shape, back = nearest_colour(pictures, mask), nearest_colour(pictures, ~mask)
    share = [
        sum(a == b for a, b in zip(x, y, strict=True)) / count
        for x, y in ((shape, scene.colours), (back, scene.backgrounds))
    ]
    return f"shape colour {share[0]:.2f}, background {share[1]:.2f}"


def guide(
    model: TextToNoise, prompts: list[str], scale: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Returns a predictor with classifier-free guidance in one batch."""

    def predict(x: Tensor, timesteps: Tensor) -> Tensor:
        both = model(
            torch.cat([x, x]), torch.cat([timesteps, timesteps]), [""] * len(prompts) + prompts
        )
        uncond, cond = both.chunk(2)
        return uncond + scale * (cond - uncond)

    return predict


if __name__ == "__main__":
    main()
