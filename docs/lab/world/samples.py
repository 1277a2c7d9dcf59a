"""Samples to train on: latents, what they show, hints; and a pool that gives each of them several times."""

from typing import NamedTuple

import torch
from torch import Tensor

from cnet_core.tiny.scenes import ThingScene


class Samples(NamedTuple):
    """Every field has one entry per picture."""

    latents: Tensor  # (B, 4, H, W)
    kind: Tensor  # (B,)
    colour: Tensor  # (B,)
    ground: Tensor  # (B,)
    hints: Tensor  # (B, 1, 8H, 8W) bytes, or (B, 0)

    def scene(self) -> ThingScene:
        """Returns what prompts need of a scene."""
        place = torch.zeros(len(self.kind), 2, device=self.kind.device)
        size, angle, flip = place.new_zeros(3, len(self.kind))
        return ThingScene(self.kind, self.colour, self.ground, size, place, angle, flip)


class Pool:
    """Keeps the last samples, all of one size."""

    def __init__(self, size: int) -> None:
        self.size, self.filled, self.at = size, 0, 0
        self.kept: Samples | None = None

    def mix(self, new: Samples, count: int, generator: torch.Generator) -> Samples:
        """Keeps new samples instead of the oldest, and returns them with random others, `count` in all."""
        if self.kept is None:
            self.kept = Samples(*(t.new_empty(self.size, *t.shape[1:]) for t in new))
        places = (torch.arange(len(new.kind)) + self.at) % self.size
        for kept, fresh in zip(self.kept, new, strict=True):
            kept[places] = fresh
        self.at = (self.at + len(places)) % self.size
        self.filled = min(self.size, self.filled + len(places))
        others = torch.randint(self.filled, (count - len(places),), generator=generator)
        chosen = torch.cat([places, others])[torch.randperm(count, generator=generator)]
        return Samples(*(kept[chosen] for kept in self.kept))
