"""What the recipes of the tiny UNet and the tiny ControlNet share: batches, the loop, EMA, figures."""

import json
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..checkpoints.container.files import read_tensors, write_tensors
from .autoencoder import Autoencoder
from .data import distance_field, picture, random_scene, training_hints, training_prompts
from .diffusion import TIMESTEPS, add_noise

MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class Batch:
    """One training batch: noisy latents, what was added, and both conditions."""

    noisy: Tensor  # (B, 4, H/8, W/8)
    noise: Tensor
    timesteps: Tensor  # (B,)
    prompts: list[str]
    hints: Tensor  # (B, 3, H, W)


def batches(
    encoder: Autoencoder, size: int, count: int, empty_prompts: float, generator: torch.Generator
) -> Iterable[Batch]:
    """Yields fresh batches without end; nothing is drawn twice."""
    while True:
        scene = random_scene(count, generator)
        field = distance_field(scene, size)
        with torch.no_grad():
            latents = encoder.encode(picture(scene, field))
        timesteps = torch.randint(TIMESTEPS, (count,), generator=generator)
        noise = torch.randn(latents.shape, generator=generator)
        yield Batch(
            noisy=add_noise(latents, noise, timesteps),
            noise=noise,
            timesteps=timesteps,
            prompts=training_prompts(scene, empty_prompts, generator),
            hints=training_hints(field, generator),
        )


def optimise(
    trained: nn.Module,
    loss_of: Callable[[Batch], Tensor],
    stream: Iterable[Batch],
    steps: int,
    learning_rate: float,
    *,
    warmup: int = 100,
    report: Callable[[int, nn.Module], str] = lambda step, ema: "",
    every: int = 200,
    log: Path | None = None,
) -> nn.Module:
    """Trains `trained` in place by AdamW with warm-up and cosine, and returns its exponential average.

    `report(step, average)` is called every `every` steps; its line goes to the console and, with the loss, to `log`.
    """
    average = deepcopy(trained)
    parameters = [p for p in trained.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-2
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, steps, pct_start=min(warmup / steps, 0.5), cycle_momentum=False
    )
    losses: list[float] = []
    begin = time.monotonic()
    for step, batch in zip(range(1, steps + 1), stream, strict=False):
        loss = loss_of(batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM)
        optimizer.step()
        schedule.step()
        _average_in(average, trained, min(0.998, (1 + step) / (10 + step)))
        losses.append(float(loss.detach()))
        if step % every == 0 or step == steps:
            mean = sum(losses) / len(losses)
            row = {"step": step, "loss": mean, "seconds": round(time.monotonic() - begin, 1)}
            line = report(step, average)
            print(json.dumps(row), line, flush=True)
            if log is not None:
                with log.open("a") as file:
                    file.write(json.dumps({**row, "report": line}) + "\n")
            losses.clear()
    return average


def load_autoencoder(path: Path) -> Autoencoder:
    """Returns the trained autoencoder, fixed."""
    model = Autoencoder()
    model.load_state_dict(read_tensors(path)[0])
    return model.train(False).requires_grad_(False)


def save_weights(module: nn.Module, path: Path) -> None:
    """Writes a module's weights in float32."""
    weights: dict[str, Tensor] = module.state_dict()
    write_tensors({k: v.float() for k, v in weights.items()}, path, {})


@torch.no_grad()
def _average_in(average: nn.Module, trained: nn.Module, decay: float) -> None:
    for kept, new in zip(average.parameters(), trained.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
