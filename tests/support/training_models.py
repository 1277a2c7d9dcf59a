"""A random base of SMALL's shape and samples of noise: all that a trainer needs, in milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from fakes import SMALL, small_unet
from torch import Tensor

import cnet_core as cn
from cnet_core.training import Objective, Trainer, TrainingSettings
from cnet_core.training.base import Batch, Text
from cnet_core.training.order import Visit, generator_of
from cnet_core.training.processes import Processes
from cnet_core.training.source import TrainingSource


@dataclass
class SmallBase:
    """Its text embeddings are noise named by the prompt."""

    unet: cn.UNet = field(default_factory=small_unet)
    objective: Objective = field(default_factory=Objective)

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        shape = (4, SMALL.context_dim)
        return Text(torch.stack([torch.randn(shape, generator=generator_of(p)) for p in prompts]))

    def decode(self, latents: Tensor) -> Tensor:
        return latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2).sigmoid()


@dataclass
class NoiseSamples:
    """Latents that are what their hints say: the hint's mean brightness in every place."""

    sizes: Sequence[tuple[int, int]] = ((32, 32),) * 12
    seen: list[int] = field(default_factory=list)
    bad: bool = False  # latents of NaN

    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        self.seen += [v.index for v in visits]
        hints = torch.cat(
            [self._hint(v.index, flip) for v, flip in zip(visits, flips, strict=True)]
        )
        latents = torch.nn.functional.avg_pool2d(hints, 8)[:, :1].expand(-1, 4, -1, -1)
        prompts = tuple(f"sample {v.index}" for v in visits)
        return Batch(latents * torch.nan if self.bad else 4 * latents - 2, hints, prompts)

    def _hint(self, index: int, flip: bool) -> Tensor:
        height, width = self.sizes[index]
        coarse = torch.rand(1, 1, height // 16, width // 16, generator=generator_of(index))
        hint = coarse.repeat_interleave(16, -1).repeat_interleave(16, -2).expand(-1, 3, -1, -1)
        return hint.flip(-1) if flip else hint


def source(**samples: object) -> TrainingSource:
    """A whole source of these."""
    base = SmallBase()

    def preview(net: cn.ControlNet) -> tuple[Tensor, dict[str, float]]:
        return torch.zeros(3, 8, 8), {}

    return TrainingSource(base, NoiseSamples(**samples), NoiseSamples(((32, 32),) * 4), preview)


def trainer(
    samples: NoiseSamples | None = None, processes: Processes | None = None, **settings: object
) -> Trainer:
    """A trainer on them."""
    numbers = TrainingSettings(**{"batch_size": 4, "learning_rate": 1e-3, "warmup": 0, **settings})
    return Trainer(SmallBase(), samples or NoiseSamples(), numbers, processes=processes)


def weights(net: cn.ControlNet) -> dict[str, Tensor]:
    """A copy of a net's weights."""
    return {name: value.detach().clone() for name, value in net.state_dict().items()}
