"""What the recipes of the tiny UNet and the tiny ControlNet share: batches, the loop, EMA, figures."""

import json
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..checkpoints.container.files import read_tensors, write_tensors
from .autoencoder import Autoencoder
from .data import Scene, distance_field, outline, picture, random_scene
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


def training_prompts(scene: Scene, empty: float, generator: torch.Generator) -> list[str]:
    """Returns one prompt a picture, a share `empty` of them empty.

    Of the others one in five names only a part, and one in five says `shape` for the shape's word.
    """
    chance = cast(list[list[float]], torch.rand(len(scene.kinds), 3, generator=generator).tolist())
    prompts: list[str] = []
    for prompt, kind, (drop, part, vague) in zip(scene.prompts(), scene.kinds, chance, strict=True):
        if vague < 0.2:
            prompt = prompt.replace(kind, "shape")
        shape, background = prompt.split(" on ")
        if part < 0.2:
            prompt = shape if part < 0.1 else background
        prompts.append("" if drop < empty else prompt)
    return prompts


def training_hints(field: Tensor, generator: torch.Generator) -> Tensor:
    """Returns outlines 1 to 3 pixels wide, every other one without antialiasing: (B, 3, H, W), 0..1."""
    hints = outline(field, 1 + 2 * torch.rand(len(field), generator=generator))
    hard = torch.rand(len(field), 1, 1, 1, generator=generator) < 0.5
    return torch.where(hard, (hints > 0.5).float(), hints)


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
