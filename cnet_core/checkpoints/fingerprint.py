"""identify(): what a file is, what it fits and what is wrong with it, from only its header."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..nets.config import UNetConfig
from ..nets.encoder import SHARED
from .container.header import UnreadableFile
from .diffusers_config import UnsupportedConfig, is_bgr
from .families import family_of
from .foreign import Kind, kind_of, lookalike
from .formats import Format, format_of
from .health import weight_findings
from .keys import key_problems
from .source import WeightsSource, dtype_name, find_quantisation, open_source
from .structure import Structure, structure_of

CONTROLNET = "a ControlNet"
#: The note about a net whose hint is not RGB.
BGR_NOTE = "It was trained on BGR hints. Loading reverses its first layer's channels, so give RGB as for every net."
#: The note about several dtypes.
MIXED_NOTE = (
    "Its weights have several dtypes and are cast when used; `cnet convert --dtype` makes them one."
)


@dataclass(frozen=True)
class Fingerprint:
    """What a file is. `problems` prevent loading; `notes` are good to know."""

    path: str
    what: str  # "a ControlNet", "a T2I-Adapter", "an HTML page" …
    size: int = 0  # bytes
    format: str | None = None
    family: str | None = None
    config: UNetConfig | None = None
    hint_channels: int | None = None
    control_types: int = 0  # of a Union
    pooled: bool = False
    dtypes: tuple[str, ...] = ()
    parameters: int = 0
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_controlnet(self) -> bool:
        """Whether it is a ControlNet for a Stable Diffusion UNet, sound or not."""
        return self.what == CONTROLNET

    @property
    def loads(self) -> bool:
        """Whether load_controlnet loads it (with `base`, if a note asks for that)."""
        return self.is_controlnet and not self.problems

    @property
    def blocks(self) -> tuple[int, ...]:
        """Channels of every block, shallow to deep, middle last."""
        if self.config is None:
            return ()
        return tuple(channels for channels, _, _ in self.config.block_shapes(8, 8))

    @property
    def latent_channels(self) -> int | None:
        """Channels of the latents that it takes: 4, or 9 of inpainting models."""
        return None if self.config is None else self.config.in_channels

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        derived = {name: getattr(self, name) for name in ("loads", "blocks", "latent_channels")}
        return {**asdict(self), **derived}

    def __str__(self) -> str:
        lines = [f"{self.path}: {self._headline()}"]
        lines += [f"  problem: {text}" for text in self.problems]
        lines += [f"  note: {text}" for text in self.notes]
        return "\n".join(lines)

    def _headline(self) -> str:
        if self.config is None:
            return self.what
        union = f", Union of {self.control_types} types" if self.control_types else ""
        pooled = ", pooled" if self.pooled else ""
        return (
            f"{self.what} for {self.family}{union}{pooled} ({self.format}): {len(self.blocks)} blocks, "
            f"{self.hint_channels} hint channels, {self.latent_channels} latent channels, "
            f"{self.parameters / 1e6:.1f} M parameters in {' + '.join(self.dtypes)}, {self.size / 1e6:.1f} MB"
        )


def identify(path: str | Path, *, deep: bool = False, base_name: str = "base") -> Fingerprint:
    """Returns what a file (or a diffusers folder) is. Reads only the header, unless `deep`.

    Args:
        path: the file.
        deep: also read every weight, and report NaN, infinities, an untrained net, denormal weights.
        base_name: what the notes call load_controlnet's `base`; a host may have another name for it.

    Raises:
        FileNotFoundError: no such path. PermissionError: no permission to read it.
    """
    try:
        source = open_source(path)
    except UnreadableFile as error:
        return Fingerprint(str(path), error.what, problems=(str(error),))
    keys = source.header.entries.keys()
    format = format_of(keys)
    other = lookalike(keys) or (kind_of(keys) if format is None else None)
    if other is not None or format is None:
        return _not_ours(source, other or kind_of(keys))
    found = _controlnet(source, format, base_name)
    if not deep:
        return found
    problems, notes = weight_findings(source, format.rename(keys))
    return replace(found, problems=found.problems + problems, notes=found.notes + notes)


def not_ours_sentence(path: Path, kind: Kind) -> str:
    """Returns why a file is not loaded as a ControlNet, and what to do with it."""
    return f"{path} is {kind.what}, not a ControlNet for a Stable Diffusion UNet; {kind.advice}."


def _not_ours(source: WeightsSource, kind: Kind) -> Fingerprint:
    return Fingerprint(
        str(source.path),
        kind.what,
        source.size,
        dtypes=_dtypes(source),
        parameters=_count(source.header.shapes),
        problems=(not_ours_sentence(source.path, kind),),
    )


def _controlnet(source: WeightsSource, format: Format, base_name: str) -> Fingerprint:
    shapes = format.shapes(source.header.shapes)
    names = format.rename(source.header.entries.keys())
    common = Fingerprint(
        str(source.path),
        CONTROLNET,
        source.size,
        format.name,
        dtypes=_dtypes(source, names),
        parameters=_count({key: source.header.shapes[key] for key in names}),
        notes=_notes(source, format, base_name),
    )
    strange = find_quantisation(source, names)
    if strange:
        return replace(common, problems=(strange,))
    if len(common.dtypes) > 1:
        common = replace(common, notes=(*common.notes, MIXED_NOTE))
    try:
        structure = structure_of(shapes, source.header.metadata, source.config)
        net = structure.build()
    except UnsupportedConfig as error:
        return replace(common, problems=(str(error),))
    except ValueError as error:
        if format.needs_base:  # the missing layers are the base's
            return common
        return replace(common, problems=(f"It is damaged or truncated: {error}",))
    lacks = key_problems(net, shapes, SHARED if format.needs_base else ())
    problems = tuple(f"Its layers do not fit together: {line}." for line in lacks)
    return replace(_with_structure(common, structure), problems=problems)


def _notes(source: WeightsSource, format: Format, base_name: str) -> tuple[str, ...]:
    own = () if format.note is None else (format.note.format(base=base_name),)
    bgr = (BGR_NOTE,) if is_bgr(source.config) else ()
    return (*source.notes, *own, *bgr)


def _with_structure(found: Fingerprint, structure: Structure) -> Fingerprint:
    return replace(
        found,
        family=family_of(structure.config),
        config=structure.config,
        hint_channels=structure.hint_channels,
        control_types=structure.num_types,
        pooled=structure.pooled,
    )


def _dtypes(source: WeightsSource, keys: Mapping[str, str] | None = None) -> tuple[str, ...]:
    entries = source.header.entries
    counts: dict[torch.dtype, int] = {}
    for key in entries if keys is None else keys:
        counts[entries[key].dtype] = counts.get(entries[key].dtype, 0) + 1
    return tuple(dtype_name(d) for d in sorted(counts, key=lambda d: -counts[d]))


def _count(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes.values())
