"""One step on one batch: adds noise, drops prompts, predicts, compares. Every draw belongs to its visit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..nets.residuals import Residuals
from .base import Samples, Text, TrainingBase
from .locked import add_residuals, decode, encode
from .order import Visit


class ControlModel(Protocol):
    """A ControlNet, or its wrapper in a distributed run."""

    def __call__(
        self, x: Tensor, hint: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None
    ) -> Residuals: ...


@dataclass(frozen=True)
class NoisyBatch:
    """The nets' input for a batch, on the device and in float32."""

    noisy: Tensor  # (B, 4, H/8, W/8)
    target: Tensor  # what the UNet should predict
    timesteps: Tensor  # (B,)
    text: Text  # with some prompts dropped
    hints: Tensor  # (B, 3, H, W)


def make_noisy_batch(
    base: TrainingBase, samples: Samples, visits: Sequence[Visit], prompt_dropout: float, flip: bool
) -> NoisyBatch:
    """Returns the noisy batch of some visits, independent of the rest of the run and of the batch.

    Prompts are dropped for both nets, since they share the text.
    """
    flips = [flip and _chance(visit, "flip") < 0.5 for visit in visits]
    batch = samples.batch(visits, flips)
    dropped = [_chance(visit, "prompt") < prompt_dropout for visit in visits]
    prompts = ["" if d else p for p, d in zip(batch.prompts, dropped, strict=True)]
    device = next(base.unet.parameters()).device
    latents = batch.latents.to(device, torch.float32)
    noise = torch.cat([_noise(visit, latents[:1]) for visit in visits]).to(latents)
    levels = [torch.randint(base.objective.timesteps, (1,), generator=_timestep(v)) for v in visits]
    timesteps = torch.cat(levels).to(device)
    return NoisyBatch(
        base.objective.add_noise(latents, noise, timesteps),
        base.objective.target(latents, noise, timesteps),
        timesteps,
        base.text(prompts, *batch.hints.shape[-2:]).to(torch.float32),
        batch.hints.to(device, torch.float32),
    )


def losses(
    model: ControlModel, base: TrainingBase, batch: NoisyBatch, min_snr: float | None = None
) -> Tensor:
    """Returns the loss of each row (B,), with a graph back to the ControlNet."""
    text = batch.text
    encoded = encode(base.unet, batch.noisy, batch.timesteps, text.context, text.y)
    residuals = model(batch.noisy, batch.hints, batch.timesteps, text.context, text.y)
    encoded = add_residuals(encoded, residuals)  # nothing keeps the plain features alive
    prediction = decode(base.unet, encoded)
    return base.objective.losses(prediction, batch.target, batch.timesteps, min_snr)


def _chance(visit: Visit, purpose: str) -> float:
    return float(torch.rand((), generator=visit.generator(purpose)))


def _noise(visit: Visit, like: Tensor) -> Tensor:
    return torch.randn(like.shape, generator=visit.generator("noise"))


def _timestep(visit: Visit) -> torch.Generator:
    return visit.generator("timestep")
