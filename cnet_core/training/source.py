"""TrainingSource: everything in a run besides its settings: base, samples, held-out samples, previews."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..nets.controlnet import ControlNet
from .base import Batch, Samples, TrainingBase
from .meter import ConvergenceMeter
from .order import SampleOrder, Visit
from .settings import TrainingSettings
from .step import make_noisy_batch

#: One in this many samples is held out for the convergence meter, at most MAX_HELD_OUT.
HELD_OUT_SHARE, MAX_HELD_OUT = 8, 16
#: net -> a picture (3, H, W), 0..1, and its figures.
Previewer = Callable[[ControlNet], tuple[Tensor, dict[str, float]]]


@dataclass(frozen=True)
class TrainingSource:
    """The data to train on and to judge by."""

    base: TrainingBase
    samples: Samples
    held_out: Samples  # all of one size; with only one the meter cannot compare hints
    preview: Previewer

    def meter(self, settings: TrainingSettings) -> ConvergenceMeter:
        """Returns the meter on all held-out samples; the base must be on its device and in its dtype already."""
        count = len(self.held_out.sizes)
        visits = SampleOrder(self.held_out.sizes, count, settings.seed).batch(0)
        batch = make_noisy_batch(self.base, self.held_out, visits, settings.prompt_dropout, False)
        return ConvergenceMeter(self.base, batch)


@dataclass(frozen=True)
class SourcePart:
    """Some of the samples."""

    samples: Samples
    indices: Sequence[int]

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) in pixels of every sample of this part."""
        sizes = self.samples.sizes
        return [sizes[i] for i in self.indices]

    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        """Returns samples by their index in this part."""
        moved = [Visit(self.indices[v.index], v.name, v.seed) for v in visits]
        return self.samples.batch(moved, flips)


@dataclass(frozen=True)
class TensorSamples:
    """Samples in memory, all of one size."""

    latents: Tensor  # (N, 4, H/8, W/8)
    hints: Tensor  # (N, 3, H, W), 0..1
    prompts: tuple[str, ...]

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) in pixels of every sample."""
        height, width = self.hints.shape[-2:]
        return [(height, width)] * len(self.hints)

    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        """Returns samples; latents cannot be mirrored."""
        if any(flips):
            raise ValueError(
                "`flip` needs pictures; these samples are latents, which cannot be mirrored."
            )
        rows = [v.index for v in visits]
        return Batch(self.latents[rows], self.hints[rows], tuple(self.prompts[i] for i in rows))


def tensor_source(base: TrainingBase, samples: TensorSamples, preview: Previewer) -> TrainingSource:
    """Returns a source whose last samples, one in HELD_OUT_SHARE, are held out; very few samples are used for both."""
    count = min(MAX_HELD_OUT, len(samples.hints) // HELD_OUT_SHARE)
    if count < 2:
        return TrainingSource(base, samples, samples, preview)
    split = len(samples.hints) - count
    return TrainingSource(
        base,
        SourcePart(samples, range(split)),
        SourcePart(samples, range(split, split + count)),
        preview,
    )
