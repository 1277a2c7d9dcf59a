"""Source: all that a run is made of besides its settings: base, samples, held-out samples, previews."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..controlnet import ControlNet
from .base import Base, Batch, Samples
from .meter import ConvergenceMeter
from .order import SampleOrder, Visit
from .settings import TrainingSettings
from .step import noisy_batch

#: net -> a picture (3, H, W), 0..1, and figures to go with it.
Previewer = Callable[[ControlNet], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class Source:
    """What is trained on, and what it is judged by."""

    base: Base
    samples: Samples
    held_out: Samples  # all of one size, at least two
    preview: Previewer

    def meter(self, settings: TrainingSettings) -> ConvergenceMeter:
        """Returns the meter on all held-out samples; the base must be on its device and in its dtype already."""
        count = len(self.held_out.sizes)
        visits = SampleOrder(self.held_out.sizes, count, settings.seed).batch(0)
        batch = noisy_batch(self.base, self.held_out, visits, settings.prompt_dropout, False)
        return ConvergenceMeter(self.base, batch)


@dataclass(frozen=True)
class Part:
    """Some of the samples."""

    samples: Samples
    indices: Sequence[int]

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) in pixels of every sample of this part."""
        sizes = self.samples.sizes
        return [sizes[i] for i in self.indices]

    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        """Returns samples by their place in this part."""
        moved = [Visit(self.indices[v.index], v.name, v.seed) for v in visits]
        return self.samples.batch(moved, flips)
