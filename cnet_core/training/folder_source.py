"""prepare_source: turns a real base and a folder of pictures into a TrainingSource."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..nets.controlnet import ControlNet
from .contents import Contents, contents_of
from .data import Progress, UsableItems, find_usable
from .edge_match import are_edges, edge_match
from .made_hints import HintMaker
from .order import SampleOrder
from .pictures import Cache, PictureSamples
from .pretrained import PretrainedBase, load_base
from .preview import Preview, sheet
from .source import HELD_OUT_SHARE, MAX_HELD_OUT, Previewer, SourcePart, TrainingSource
from .start import load_start

#: The settings of previews.
SHOWN, STEPS, CFG_SCALE = 4, 20, 7.5
#: Fewer samples cannot be split into training and held-out samples.
MIN_SPLIT = 4
NOT_EDGES = (
    "The hints are not edges, so nothing measures how closely the previews follow them; look at the previews, and at "
    "the meter's gap."
)


@dataclass(frozen=True)
class Origin:
    """Where a run's base and data are, and how to use the pictures."""

    base: Path
    config: Path | None
    data: Path
    side: int
    skip_bad: bool = False
    flip: bool = False
    hint_maker: HintMaker | None = None  # for samples without a hint
    max_samples: int | None = None
    validation: Path | None = None  # data of its own for the meter and the previews
    controlnet: Path | None = None  # where the run begins; None is a fresh net
    lora_rank: int | None = None  # of the run; the ControlNet must then be whole


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
        tell: gets sentences about skipped pictures, made hints, and samples too few to hold some out.
        progress: returns a counter for a named part of the work.

    Raises:
        ValueError: bad pictures, or a base that cannot be loaded.
    """
    found = _find_samples(origin, origin.data, "--data", tell, progress)
    judged = origin.validation and _find_samples(
        origin, origin.validation, "--validation", tell, progress
    )
    base = load_base(origin.base, Cache(cache), device, origin.config)
    start = _start(origin, base)
    made_by = origin.hint_maker.name if origin.hint_maker else ""
    check(contents_of(base.unet, found.items, _folder(origin.data), start=start, made_by=made_by))

    def prepare(found: UsableItems, flip: bool) -> PictureSamples:
        samples = PictureSamples(found, base, Cache(cache), origin.hint_maker)
        samples.prepare(flip, progress("encoding pictures"))
        base.prepare([item.prompt for item in found.items], progress("encoding prompts"))
        return samples

    samples = prepare(found, origin.flip)
    if judged is None:
        measuring, (kept, held_out) = samples, _split_samples(samples, tell)
    else:
        measuring, kept = prepare(judged, False), samples
        held_out = _one_size(measuring)
    base.free_encoders()
    edges = are_edges([measuring.read_stored_hint(index) for index in held_out.indices[:SHOWN]])
    if not edges:
        tell(NOT_EDGES)
    return TrainingSource(base, kept, held_out, _previewer(base, held_out, edges), start)


def _find_samples(
    origin: Origin,
    data: Path,
    option: str,
    tell: Callable[[str], None],
    progress: Callable[[str], Progress | None],
) -> UsableItems:
    """Returns the usable samples of one data folder, and tells what it skipped and which hints are made."""
    maker = origin.hint_maker
    found = find_usable(
        data,
        origin.side,
        skip_bad=origin.skip_bad,
        progress=progress("checking pictures"),
        needs_hint=maker is None,
        most=origin.max_samples if data == origin.data else None,
        option=option,
    )
    if found.bad:
        tell(f"Skipped {len(found.bad)} samples: {'; '.join(found.bad)}")
    if maker is not None:
        made = sum(item.hint is None for item in found.items)
        if not made and data == origin.data:
            raise ValueError(
                f"`--hint` is {maker.name}, but every sample of {data} has a hint; omit `--hint`."
            )
        tell(f"{made} of {len(found.items)} hints in {data} are made by {maker.name}.")
    return found


def _start(origin: Origin, base: PretrainedBase) -> ControlNet | None:
    if origin.controlnet is None:
        return None
    return load_start(origin.controlnet, base.unet, lora_rank=origin.lora_rank)


def _folder(data: Path) -> Path:
    """Returns the folder of data; `data` may also be its list."""
    return data if data.is_dir() else data.parent


def _previewer(base: PretrainedBase, held_out: SourcePart, measured: bool) -> Previewer:
    """Returns what draws the previews, and measures how well they match hints that are edges."""
    count = min(SHOWN, len(held_out.indices))
    shown = held_out.batch(SampleOrder(held_out.sizes, count, 0).batch(0), [False] * count)
    preview = Preview(base, shown.hints, shown.prompts, STEPS, CFG_SCALE)

    def draw(net: ControlNet) -> tuple[Tensor, dict[str, float]]:
        drawn = [preview.draw(net, empty=empty) for empty in (False, True)]
        names = ("edge_match", "edge_match_empty_prompt") if measured else ()
        figures = {name: edge_match(p, shown.hints) for name, p in zip(names, drawn, strict=False)}
        return sheet([shown.hints, *drawn]), figures

    return draw


def _split_samples(
    samples: PictureSamples, tell: Callable[[str], None]
) -> tuple[SourcePart, SourcePart]:
    """Holds out some samples of the most common size; none of fewer than MIN_SPLIT."""
    sizes, candidates = samples.sizes, _of_one_size(samples)
    if len(sizes) < MIN_SPLIT:
        tell(
            f"The data has {len(sizes)} of the {MIN_SPLIT} samples that it takes to hold some out: the meter and "
            "the previews use samples that the run learns from. Give others with `--validation`."
        )
        return SourcePart(samples, range(len(sizes))), SourcePart(samples, candidates)
    count = min(MAX_HELD_OUT, max(2, len(sizes) // HELD_OUT_SHARE), len(candidates))
    held_out = candidates[-count:]
    kept = [index for index in range(len(sizes)) if index not in set(held_out)]
    return SourcePart(samples, kept or held_out), SourcePart(samples, held_out)


def _one_size(samples: PictureSamples) -> SourcePart:
    """Returns the first samples of the most common size."""
    return SourcePart(samples, _of_one_size(samples)[:MAX_HELD_OUT])


def _of_one_size(samples: PictureSamples) -> list[int]:
    sizes = list(samples.sizes)
    most = max(sorted(set(sizes)), key=sizes.count)
    return [index for index, size in enumerate(sizes) if size == most]
