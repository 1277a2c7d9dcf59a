"""prepare_source: turns a real base and a folder of pictures into a TrainingSource."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..nets.controlnet import ControlNet
from .contents import Contents, contents_of
from .data import Progress, find_usable
from .order import SampleOrder
from .pictures import Cache, PictureSamples
from .pretrained import load_base
from .preview import Preview, sheet
from .source import HELD_OUT_SHARE, MAX_HELD_OUT, SourcePart, TrainingSource

#: The settings of previews.
SHOWN, STEPS, CFG_SCALE = 4, 20, 7.5
#: Fewer samples cannot be split into training and held-out samples.
MIN_SAMPLES = 4


@dataclass(frozen=True)
class Origin:
    """Where a run's base and data are, and how to use the pictures."""

    base: Path
    config: Path | None
    data: Path
    side: int
    skip_bad: bool
    flip: bool


def prepare_source(
    origin: Origin,
    cache: Path,
    device: torch.device,
    *,
    check: Callable[[Contents], None] = lambda contents: None,
    tell: Callable[[str], None] = lambda line: None,
    progress: Callable[[str], Progress | None] = lambda what: None,
) -> TrainingSource:
    """Returns the source. Checks pictures, and computes latents and texts before the first step.

    Args:
        origin: base and data.
        cache: folder for latents and texts.
        device: computes them.
        check: gets the contents of base and samples; raises if the run must not use them.
        tell: gets a sentence about skipped pictures.
        progress: returns a counter for a named part of the work.

    Raises:
        ValueError: bad pictures, too few, or a base that cannot be loaded.
    """
    found = find_usable(
        origin.data, origin.side, skip_bad=origin.skip_bad, progress=progress("checking pictures")
    )
    if found.bad:
        tell(f"Skipped {len(found.bad)} samples: {'; '.join(found.bad)}")
    if len(found.items) < MIN_SAMPLES:
        raise ValueError(
            f"{origin.data} holds {len(found.items)} samples; at least {MIN_SAMPLES} are needed."
        )
    base = load_base(origin.base, Cache(cache), device, origin.config)
    check(contents_of(base.unet, found.items, origin.data))
    samples = PictureSamples(found, base, Cache(cache))
    samples.prepare(origin.flip, progress("encoding pictures"))
    base.prepare([item.prompt for item in found.items], progress("encoding prompts"))
    base.offload()
    kept, held_out = _split_samples(samples)
    count = min(SHOWN, len(held_out.indices))
    shown = held_out.batch(SampleOrder(held_out.sizes, count, 0).batch(0), [False] * count)
    preview = Preview(base, shown.hints, shown.prompts, STEPS, CFG_SCALE)

    def draw(net: ControlNet) -> tuple[Tensor, dict[str, float]]:
        return sheet([shown.hints, preview.draw(net), preview.draw(net, empty=True)]), {}

    return TrainingSource(base, kept, held_out, draw)


def _split_samples(samples: PictureSamples) -> tuple[SourcePart, SourcePart]:
    """Holds out some samples of the most common size."""
    sizes = list(samples.sizes)
    most = max(sorted(set(sizes)), key=sizes.count)
    candidates = [index for index, size in enumerate(sizes) if size == most]
    count = min(MAX_HELD_OUT, max(2, len(sizes) // HELD_OUT_SHARE), len(candidates))
    held_out = candidates[-count:]
    kept = [index for index in range(len(sizes)) if index not in set(held_out)]
    return SourcePart(samples, kept or held_out), SourcePart(samples, held_out)
