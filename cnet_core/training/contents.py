"""The contents of a run's base and samples, as digests. A resumed run compares them with those at its start."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from ..checkpoints.digest import weights_digest
from .layouts import Item

#: How many names are listed per kind of change.
NAMED = 3


@dataclass(frozen=True)
class Sample:
    """One sample: its files' names below the data folder, its prompt, and digests of its files' bytes."""

    picture: str
    hint: str
    prompt: str
    picture_digest: str
    hint_digest: str

    @property
    def content(self) -> tuple[str, str, str]:
        """The part of the sample that training sees."""
        return self.picture_digest, self.hint_digest, self.prompt


@dataclass(frozen=True)
class Contents:
    """The base's weights and the samples in order, independent of their place on disk."""

    base: str  # digest of the UNet's weights
    samples: tuple[Sample, ...]
    start: str = ""  # digest of the ControlNet that the run began with; of a fresh one nothing

    def to_rows(self) -> list[dict[str, str]]:
        """Returns plain values for JSON lines, the base first."""
        start = {"start": self.start} if self.start else {}
        return [{"base": self.base, **start}, *(asdict(sample) for sample in self.samples)]

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, str]]) -> "Contents":
        """Returns the contents of `to_rows()`'s values."""
        first, *others = rows
        samples = tuple(Sample(**row) for row in others)
        return cls(first["base"], samples, first.get("start", ""))


def contents_of(
    unet: nn.Module,
    items: Sequence[Item],
    folder: Path,
    *,
    start: nn.Module | None = None,
    made_by: str = "",
) -> Contents:
    """Returns the contents of a base and of the samples of a data folder.

    Args:
        unet: the base's.
        items: the samples.
        folder: below which their files are named.
        start: the ControlNet that the run begins with; None is a fresh one.
        made_by: names what makes the hints of samples that have none.
    """
    samples = (
        Sample(
            _below(folder, item.picture.path),
            made_by if item.hint is None else _below(folder, item.hint.path),
            item.prompt,
            item.picture_digest,
            made_by if item.hint is None else item.hint_digest,
        )
        for item in items
    )
    start_digest = "" if start is None else weights_digest(start)
    return Contents(weights_digest(unet), tuple(samples), start_digest)


def changes(before: Sequence[Sample], after: Sequence[Sample]) -> list[str]:
    """Returns the differences between two lists of samples, a phrase each; equal picture names are the same sample."""
    if [s.content for s in before] == [s.content for s in after]:
        return []
    old, new = _by_name(before), _by_name(after)
    both = [name for name in old if name in new]
    found = {
        "pictures changed": [n for n in both if old[n].picture_digest != new[n].picture_digest],
        "hints changed": [n for n in both if old[n].hint_digest != new[n].hint_digest],
        "prompts changed": [n for n in both if old[n].prompt != new[n].prompt],
        "samples removed": [n for n in old if n not in new],
        "samples added": [n for n in new if n not in old],
    }
    phrases = [_phrase(names, what) for what, names in found.items() if names]
    if both != [name for name in new if name in old]:
        phrases.append("the order changed")
    return phrases


def _by_name(samples: Sequence[Sample]) -> dict[tuple[str, int], Sample]:
    """Returns samples by their picture's name and a count of its earlier entries."""
    seen: Counter[str] = Counter()
    found: dict[tuple[str, int], Sample] = {}
    for sample in samples:
        found[sample.picture, seen[sample.picture]] = sample
        seen[sample.picture] += 1
    return found


def _phrase(names: Sequence[tuple[str, int]], what: str) -> str:
    more = ", ..." if len(names) > NAMED else ""
    return f"{what}: {len(names)} ({', '.join(name for name, _ in names[:NAMED])}{more})"


def _below(folder: Path, path: Path) -> str:
    """Returns a path as seen from a folder; the whole path if Windows has it on another drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()
