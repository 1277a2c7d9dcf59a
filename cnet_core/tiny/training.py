"""The embedded model as something to train ControlNets on: its base, its endless samples, the adherence."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..nets.controlnet import ControlNet
from ..nets.unet import UNet
from ..training.base import Batch, Text
from ..training.objective import Objective
from ..training.order import Visit, generator_of
from ..training.preview import Preview, sheet
from ..training.source import TrainingSource
from .autoencoder import Autoencoder
from .measure import iou, thing_mask
from .prompts import read_tokens, training_tokens
from .scenes import draw, held_out_pairs, random_scene
from .sketches import draw_edges, training_hints
from .text import TextEmbedding

#: How many different samples there are; more than a run of any sensible length sees.
SAMPLES = 100_000
#: Held-out scenes come from this seed; samples to train on are named, not numbered by seed.
HELD_OUT_SEED = 998
#: Samples that the convergence meter reads.
HELD_OUT = 32
#: Pictures in a row of a preview.
SHOWN = 8


@dataclass(frozen=True)
class TinyBase:
    """UNet, text embedding and autoencoder of the embedded model; pictures are decoded as they are.

    A trainer moves only the UNet; the other two are small and stay, and tensors are brought from one to the other.
    """

    unet: UNet
    words: TextEmbedding
    autoencoder: Autoencoder
    objective: Objective

    @classmethod
    def load(cls) -> "TinyBase":
        """Returns the embedded base with its trained weights."""
        from .model import TinyStableDiffusion

        tiny = TinyStableDiffusion.load()
        return cls(tiny.unet, tiny.text, tiny.autoencoder, Objective())

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        """Returns the embeddings of prompts; the size does not matter."""
        return Text(self.words(prompts).to(next(self.unet.parameters()).device))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W), not clamped."""
        return self.autoencoder.decode(latents.to(next(self.autoencoder.parameters()).device))


@dataclass(frozen=True)
class TinySamples:
    """Glossy things on coloured grounds, their edges and prompts; sample k is always the same one."""

    autoencoder: Autoencoder
    side: int  # pixels
    count: int = SAMPLES
    series: str = "train"  # another name gives other samples

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """All are squares."""
        return [(self.side, self.side)] * self.count

    @torch.no_grad()
    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        """Draws the samples of these visits."""
        pictures, hints, prompts = zip(*(self.sample(v.index) for v in visits), strict=True)
        mirrored = torch.tensor(flips)[:, None, None, None]
        shown, hint = (
            torch.where(mirrored, t.flip(-1), t) for t in (torch.cat(pictures), torch.cat(hints))
        )
        return Batch(self.autoencoder.encode(shown), hint, prompts)

    def sample(self, index: int) -> tuple[Tensor, Tensor, str]:
        """Returns picture and hint (1, 3, side, side), 0..1, and prompt of one sample."""
        generator = generator_of("tiny", self.series, index)
        scene = random_scene(1, generator, ~held_out_pairs())
        pictures, cover = draw(scene, self.side)
        (prompt,) = read_tokens(training_tokens(scene, 0.0, generator))
        return pictures, training_hints(pictures, cover, generator), prompt


class Adherence:
    """Measures how well a net makes the base follow hints, on scenes that are the same each time."""

    def __init__(self, base: TinyBase, side: int, count: int = 16, steps: int = 10) -> None:
        scene = random_scene(count, torch.Generator().manual_seed(HELD_OUT_SEED))
        pictures, cover = draw(scene, side)
        self._wanted = cover > 0.5
        self.preview = Preview(base, draw_edges(pictures), tuple(scene.prompts()), steps)

    def __call__(self, net: ControlNet, *, empty: bool = False) -> float:
        """Returns the mean IoU of drawn and wanted things at guidance scale 1; `empty`: without prompts."""
        return self.of(self.preview.draw(net, empty=empty))

    def of(self, pictures: Tensor) -> float:
        """Returns the mean IoU of the things in these pictures, one per scene, with the wanted ones."""
        return float(iou(thing_mask(pictures), self._wanted).mean())


def tiny_source(side: int = 64) -> TrainingSource:
    """Returns the embedded base with its data, held-out samples, and the adherence as a figure of its previews."""
    return source_of(TinyBase.load(), side)


def source_of(base: TinyBase, side: int) -> TrainingSource:
    """As `tiny_source`, for a base of the same kind."""
    adherence = Adherence(base, side)

    def preview(net: ControlNet) -> tuple[Tensor, dict[str, float]]:
        drawn = [adherence.preview.draw(net, empty=empty) for empty in (False, True)]
        names = ("adherence", "adherence_empty_prompt")
        figures = {name: adherence.of(p) for name, p in zip(names, drawn, strict=True)}
        return sheet([t[:SHOWN] for t in (adherence.preview.hints, *drawn)]), figures

    return TrainingSource(
        base,
        TinySamples(base.autoencoder, side),
        TinySamples(base.autoencoder, side, HELD_OUT, "held out"),
        preview,
    )
