"""webdataset's layout: tar files whose members share a key: `0001.jpg`, `0001.conditioning.png`, `0001.txt`.

Nothing is unpacked: a picture is read from its place in the tar file.
"""

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..picture_formats import picture_endings
from .sample import COLUMNS, Entry, Layout, Listed, Stored, Unusable

#: What stands between key and format in a member's name -> its column.
LABELS = {
    "": "image",
    "image": "image",
    "target": "image",
    **dict.fromkeys(
        ("conditioning", "conditioning_image", "hint", "control", "source"), "conditioning_image"
    ),
}
#: Members with the caption as they are, and as a JSON object.
TEXTS, JSON = ("txt", "caption", "text", "prompt"), "json"


@dataclass(frozen=True)
class TarMember:
    """A regular file in an uncompressed tar file."""

    tar: Path
    name: str
    offset: int
    size: int
    is_cheap = True

    @property
    def path(self) -> Path:
        """The tar file's path, followed by the member's name."""
        return self.tar / self.name

    def read(self) -> bytes:
        """Returns its bytes; raises ValueError if the tar file ends before."""
        with self.tar.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) != self.size:
            raise ValueError(f"{self.path} is cut off")
        return content


def read(tar: Path) -> list[Entry]:
    """Returns the samples of a tar file, in its order.

    Raises:
        ValueError: it is compressed, cut off or no tar file. PermissionError: no permission to read it.
    """
    found: dict[str, dict[str, list[TarMember]]] = {}
    for member in _members(tar):
        key, ending = _split_name(member.name)
        found.setdefault(key, {}).setdefault(ending, []).append(member)
    return [
        _entry(tar / key, parts)
        if _names_sample(parts)
        else Unusable(
            f"{tar / key} has no picture, hint or caption by its name; a key must not hold a dot"
        )
        for key, parts in found.items()
        if _names_sample(parts) or any(_is_content(ending) for ending in parts)
    ]


def _members(tar: Path) -> list[TarMember]:
    try:
        with tarfile.open(tar, "r:") as file:
            return [
                TarMember(tar, m.name, m.offset_data, m.size)
                for m in file
                if m.isreg() and not m.issparse()
            ]
    except tarfile.TarError as error:
        raise ValueError(
            f"{tar} is compressed, cut off or no tar file ({error}); a compressed one must be unpacked to .tar."
        ) from error


def _split_name(name: str) -> tuple[str, str]:
    """Returns a member's key and ending, which begins after the first dot of its file name, as in webdataset."""
    folder, slash, file = name.rpartition("/")
    stem, _, ending = file.partition(".")
    return folder + slash + stem, ending.lower()


def _column(ending: str) -> str | None:
    """Returns the column that a member with this ending fills, or None."""
    label, _, format = ending.rpartition(".")
    if f".{format}" in picture_endings():
        return LABELS.get(label)
    return COLUMNS[2][0] if not label and format in (*TEXTS, JSON) else None


def _is_content(ending: str) -> bool:
    """Whether a member that fills no column is a picture or a caption, whose key holds a dot."""
    format = ending.rpartition(".")[2]
    return "." in ending and (f".{format}" in picture_endings() or format in TEXTS)


def _names_sample(parts: Mapping[str, object]) -> bool:
    return any(_column(ending) is not None for ending in parts)


def _entry(key: Path, parts: Mapping[str, Sequence[TarMember]]) -> Entry:
    values: dict[str, str | Stored] = {}
    if any(ending in TEXTS for ending in parts):
        parts = {ending: members for ending, members in parts.items() if ending != JSON}
    for ending, members in parts.items():
        column = _column(ending)
        if column is None:
            continue
        if len(members) > 1 or column in values:
            return Unusable(f"{key} has several members for its {column!r}")
        try:
            values[column] = members[0] if column != COLUMNS[2][0] else _text(members[0])
        except ValueError as error:
            return Unusable(str(error))
    return Listed(str(key), key.parent, values)


def _text(member: TarMember) -> str:
    """Returns a caption without white space around it; of a JSON object its text."""
    try:
        text = member.read().decode("utf-8-sig")
        if not member.name.lower().endswith(f".{JSON}"):
            return text.strip()
        value: object = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{member.path} is no text in UTF-8, or no JSON") from error
    values = cast(dict[str, object], value) if isinstance(value, dict) else {}
    texts = (values.get(name) for name in COLUMNS[2])
    found = next((text for text in texts if isinstance(text, str)), None)
    if found is None:
        raise ValueError(f"{member.path} has no text named {COLUMNS[2][0]!r}")
    return found


LAYOUTS = (
    Layout(
        "webdataset tars (0001.jpg, 0001.conditioning.png, 0001.txt)",
        lambda folder, names: [folder / name for name in names if name.lower().endswith(".tar")],
        read,
    ),
)
