"""Trains the tiny autoencoder: `python -m cnet_core.tiny.recipe_autoencoder --out DIR`."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from .autoencoder import Autoencoder, psnr
from .data import distance_field, picture, random_scene
from .recipe import save_weights

STEPS, BATCH, CROP = 3200, 32, 64
WHOLE_SHARE = 0.75  # of the steps; the rest tune the decoder alone
LEARNING_RATE, WARMUP = 2e-3, 100
ENCODER_NOISE, DECODER_NOISE = 0.02, 0.1  # the decoder must bear what a sampler leaves behind
LATENT_PENALTY = 1e-3  # keeps the latents near unit size
FULL_SIZE = 128


def main() -> None:
    """Trains, reports the quality on held-out pictures and writes `autoencoder.safetensors`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = train(args.steps)
    save_weights(model, args.out / "autoencoder.safetensors")


def train(steps: int) -> Autoencoder:
    """Returns the autoencoder: trained whole on 64 px windows, then calibrated, then its decoder alone."""
    generator = torch.Generator().manual_seed(1)
    model = Autoencoder()
    whole = round(steps * WHOLE_SHARE)
    _optimise(model, model, whole, LEARNING_RATE, ENCODER_NOISE, generator)
    model.calibrate(full_pictures(256, generator))
    _optimise(model, model.decoder, steps - whole, LEARNING_RATE / 2, DECODER_NOISE, generator)
    return model


def _optimise(
    model: Autoencoder,
    part: nn.Module,
    steps: int,
    rate: float,
    noise: float,
    generator: torch.Generator,
) -> None:
    optimizer = torch.optim.AdamW(part.parameters(), lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, steps, pct_start=min(WARMUP / steps, 0.5), cycle_momentum=False
    )
    begin = time.monotonic()
    for step in range(1, steps + 1):
        target = windows(BATCH, generator)
        latents = model.encode(target)
        spread = noise * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noisy = latents + spread * torch.randn(latents.shape, generator=generator)
        loss = (
            reconstruction_loss(model.decode(noisy), target)
            + LATENT_PENALTY * latents.square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0 or step == steps:
            print(
                f"{step} loss {loss:.5f} {quality(model)} {time.monotonic() - begin:.0f} s",
                flush=True,
            )


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


def reconstruction_loss(got: Tensor, want: Tensor) -> Tensor:
    """L1 of the pixels plus L1 of their differences to the right and below, which keeps edges sharp."""
    error = got - want
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.abs().mean() + across + down


@torch.no_grad()
def quality(model: Autoencoder, count: int = 32) -> str:
    """Returns a line of figures on held-out full-size pictures."""
    generator = torch.Generator().manual_seed(999)
    want = full_pictures(count, generator)
    latents = model.encode(want)
    got = model.decode(latents)
    noisy = model.decode(latents + DECODER_NOISE * torch.randn(latents.shape, generator=generator))
    clipped = ((got < 0) | (got > 1)).float().mean()
    figures = f"psnr {psnr(got, want):.2f} dB, noisy {psnr(noisy, want):.2f} dB"
    return f"{figures}, clipped {clipped:.4f}, latent std {latents.std():.3f}"


if __name__ == "__main__":
    main()
