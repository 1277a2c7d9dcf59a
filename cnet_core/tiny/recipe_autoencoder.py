"""Trains the tiny autoencoder: `python -m cnet_core.tiny.recipe_autoencoder --out DIR [--start FILE]`.

The first run makes the latent space. The second (`--start`) sharpens it for as long again and stays near the
first one's latents, so that a UNet may be trained on these meanwhile.
"""

import argparse
import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.container.files import read_tensors
from .autoencoder import Autoencoder, psnr
from .data import distance_field, picture, random_scene
from .measure import iou, shape_mask
from .recipe import save_weights

BATCH, CROP, FULL_SIZE = 32, 64, 128
WARMUP = 100
ENCODER_NOISE, DECODER_NOISE = 0.02, 0.1  # the decoder must bear what a sampler leaves behind
LATENT_PENALTY = 1e-3  # keeps the first run's latents near unit size
ANCHOR = 0.02  # weight of the squared distance to the first run's latents

#: (model, pictures, their latents) -> what is added to the reconstruction loss.
Penalty = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Stage:
    """Steps for the whole autoencoder, then for its decoder alone, with their peak learning rates."""

    whole_steps: int
    decoder_steps: int
    whole_rate: float
    decoder_rate: float
    centred_on_edges: bool


FIRST = Stage(2400, 800, 2e-3, 1e-3, centred_on_edges=False)
SECOND = Stage(3600, 1200, 1.5e-3, 1e-3, centred_on_edges=True)


def main() -> None:
    """Trains, reports the quality on held-out pictures and writes `autoencoder.safetensors`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--start", type=Path, help="the first run's file: makes this the second run"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = Autoencoder()
    if args.start:
        model.load_state_dict(read_tensors(args.start)[0])
        first = deepcopy(model).requires_grad_(False)
        train(model, SECOND, lambda x, z: ANCHOR * (z - first.encode(x)).square().mean(), args.out)
    else:
        train(model, FIRST, lambda x, z: LATENT_PENALTY * z.square().mean(), args.out)
    save_weights(model, args.out / "autoencoder.safetensors")


def train(model: Autoencoder, stage: Stage, penalty: Penalty, out: Path) -> None:
    """Trains the whole, calibrates a new latent space, then trains the decoder alone."""
    generator = torch.Generator().manual_seed(2 if stage is SECOND else 1)
    draw = edge_windows if stage.centred_on_edges else windows
    _optimise(
        model, model, stage.whole_steps, stage.whole_rate, ENCODER_NOISE, penalty, draw, generator
    )
    if stage is FIRST:
        model.calibrate(full_pictures(256, generator))
    save_weights(model, out / "encoder_done.safetensors")
    model.encoder.requires_grad_(False)
    _optimise(
        model,
        model.decoder,
        stage.decoder_steps,
        stage.decoder_rate,
        DECODER_NOISE,
        penalty,
        draw,
        generator,
    )


def _optimise(
    model: Autoencoder,
    part: nn.Module,
    steps: int,
    rate: float,
    noise: float,
    penalty: Penalty,
    draw: Callable[[int, torch.Generator], Tensor],
    generator: torch.Generator,
) -> None:
    optimizer = torch.optim.AdamW(part.parameters(), lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, steps, pct_start=min(WARMUP / steps, 0.5), cycle_momentum=False
    )
    begin = time.monotonic()
    for step in range(1, steps + 1):
        target = draw(BATCH, generator)
        latents = model.encode(target)
        spread = noise * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noisy = latents + spread * torch.randn(latents.shape, generator=generator)
        loss = reconstruction_loss(model.decode(noisy), target) + penalty(target, latents)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps:
            seconds = time.monotonic() - begin
            print(f"{step} loss {loss:.5f} {quality(model)} {seconds:.0f} s", flush=True)


def full_pictures(count: int, generator: torch.Generator) -> Tensor:
    """Returns whole pictures of the size that the model is shown at."""
    scene = random_scene(count, generator)
    return picture(scene, distance_field(scene, FULL_SIZE))


def windows(count: int, generator: torch.Generator) -> Tensor:
    """Returns CROP x CROP windows of full-size pictures, near the shape so that they hold an edge."""
    scene = random_scene(count, generator)
    zoom = FULL_SIZE / CROP
    centre = torch.rand(count, 2, generator=generator) * 1.6 - 0.3
    scene = replace(scene, radius=scene.radius * zoom, centre=centre)
    return picture(scene, distance_field(scene, CROP))


def edge_windows(count: int, generator: torch.Generator) -> Tensor:
    """Returns CROP x CROP windows of full-size pictures whose middle lies near the shape's border."""
    scene = random_scene(count, generator)
    radius = scene.radius * FULL_SIZE / CROP
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    to_border = 0.8 * radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    jitter = 0.5 * torch.rand(count, 2, generator=generator) - 0.25
    scene = replace(scene, radius=radius, centre=0.5 + to_border + jitter)
    return picture(scene, distance_field(scene, CROP))


def reconstruction_loss(got: Tensor, want: Tensor) -> Tensor:
    """L1 of the pixels plus L1 of their differences to the right and below, which keeps edges sharp."""
    error = got - want
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.abs().mean() + across + down


@torch.no_grad()
def quality(model: Autoencoder, count: int = 32) -> str:
    """Returns a line of figures on held-out full-size pictures."""
    generator = torch.Generator().manual_seed(999)
    scene = random_scene(count, generator)
    field = distance_field(scene, FULL_SIZE)
    want = picture(scene, field)
    latents = model.encode(want)
    got = model.decode(latents)
    noisy = model.decode(latents + DECODER_NOISE * torch.randn(latents.shape, generator=generator))
    overlap = float(iou(shape_mask(got), field < 0).mean())
    clipped = float(((got < 0) | (got > 1)).float().mean())
    figures = f"psnr {psnr(got, want):.2f} dB, noisy {psnr(noisy, want):.2f} dB, iou {overlap:.3f}"
    return f"{figures}, clipped {clipped:.4f}, latent std {float(latents.std()):.3f}"


if __name__ == "__main__":
    main()
