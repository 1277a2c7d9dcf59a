"""The two protocols that a trainer needs: a base model and its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..nets.unet import UNet
from .objective import Objective
from .order import Visit


@dataclass(frozen=True)
class Text:
    """Encoded prompts, the UNet's input."""

    context: Tensor  # (B, tokens, context_dim)
    y: Tensor | None = None  # (B, y_dim), for SDXL

    def to(self, dtype: torch.dtype) -> "Text":
        """Returns the same text in another dtype."""
        return Text(self.context.to(dtype), None if self.y is None else self.y.to(dtype))


@dataclass(frozen=True)
class Batch:
    """Samples of one size, before noise and prompt dropout."""

    latents: Tensor  # (B, 4, H/8, W/8)
    hints: Tensor  # (B, 3, H, W), 0..1
    prompts: tuple[str, ...]


class TrainingBase(Protocol):
    """A base model: the locked UNet, what it predicts, and its text encoder."""

    @property
    def unet(self) -> UNet:
        """The UNet; its trainer locks it."""
        ...

    @property
    def objective(self) -> Objective:
        """Its noise levels, and what it predicts."""
        ...

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        """Returns the text of prompts for pictures of a size in pixels; "" is the empty one.

        It is on the device of the UNet, in any dtype: the nets cast it.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W), nominally 0..1, of latents on the UNet's device."""
        ...


class Samples(Protocol):
    """Pictures with hints and prompts."""

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) in pixels of every sample."""
        ...

    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        """Returns the samples of these visits, all of one size; mirrored if `flips` says so."""
        ...
