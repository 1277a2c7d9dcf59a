"""The list of a data folder's samples, as prompt.json or metadata.jsonl.

`prompt.json` is the released fill50k's (source, target, prompt; the source is the hint), `metadata.jsonl` is Hugging
Face's imagefolder (file_name, conditioning_image, text). Both hold one JSON object per line, or one array.
"""

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

Fields = tuple[tuple[str, ...], ...]

#: File -> names of its fields for (picture, hint, prompt); the first match counts.
LAYOUTS: Mapping[str, Fields] = {
    "prompt.json": (("target",), ("source",), ("prompt",)),
    "metadata.jsonl": (
        ("file_name",),
        ("conditioning_image", "conditioning_image_file_name"),
        ("text", "prompt", "caption"),
    ),
}
#: Line endings. A JSON string may hold other separators (U+2028, U+2029, U+0085), but none of these.
LINE_END = re.compile(r"\r\n?|\n")


@dataclass(frozen=True)
class Item:
    """One sample on disk."""

    picture: Path
    hint: Path
    prompt: str
    picture_digest: str = ""  # of the file's bytes
    hint_digest: str = ""


@dataclass(frozen=True)
class ListedSample:
    """One JSON value of a list, and the names of its fields."""

    listing: Path
    place: str  # "line 3" or "entry 3"
    value: object  # None where it is not JSON
    fields: Fields

    def item(self) -> Item:
        """Returns the sample that the entry names; raises ValueError if it names none."""
        place = f"{self.place} of {self.listing.name}"
        if not isinstance(self.value, dict):
            raise ValueError(f"{place} is not a JSON object")
        values = cast(dict[str, Any], self.value)
        found = [_text_field(values, names, place) for names in self.fields]
        folder = self.listing.parent
        return Item(folder / found[0], folder / found[1], found[2])


def read_listing(folder: Path) -> list[ListedSample]:
    """Returns the entries of a data folder's list.

    Raises:
        ValueError: there is no list, or it is not text or not JSON.
        PermissionError: no permission to read the folder or its list.
    """
    listing, fields = _find(folder)
    text = _decode(listing)
    if text.lstrip().startswith("["):
        values = enumerate(_array(listing, text), start=1)
        return [ListedSample(listing, f"entry {n}", value, fields) for n, value in values]
    lines = enumerate(LINE_END.split(text), start=1)
    return [
        ListedSample(listing, f"line {n}", _parse(line), fields)
        for n, line in lines
        if line.strip()
    ]


def is_file(path: Path) -> bool:
    """As Path.is_file, which from Python 3.14 on returns False without permission to look."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _find(folder: Path) -> tuple[Path, Fields]:
    if not folder.is_dir():
        raise ValueError(f"`--data` is {folder}, which is not a folder.")
    for name, fields in LAYOUTS.items():
        for place in (folder, folder / "train"):
            if is_file(place / name):
                return place / name, fields
    raise ValueError(
        f"{folder} holds neither prompt.json (lines with source, target, prompt) nor metadata.jsonl (lines with "
        "file_name, conditioning_image, text)."
    )


def _decode(listing: Path) -> str:
    """Returns the text of a list: UTF-8 with or without a byte order mark, UTF-16 or UTF-32."""
    content = listing.read_bytes()
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"Line {line} of {listing} is not {encoding.upper()}: byte 0x{content[error.start]:02x}. The file may be "
            "latin-1 or Windows-1252; save it as UTF-8."
        ) from error


def _array(listing: Path, text: str) -> list[object]:
    try:
        return cast(list[object], json.loads(text))
    except RecursionError as error:
        raise ValueError(
            f"{listing} nests its brackets too deeply; it must be one array."
        ) from error
    except ValueError as error:
        raise ValueError(f"{listing} starts like a JSON array, but is not one: {error}.") from error


def _parse(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _text_field(values: Mapping[str, Any], names: tuple[str, ...], place: str) -> str:
    found = next((values[n] for n in names if isinstance(values.get(n), str)), None)
    if found is None:
        raise ValueError(f"{place} has no text named {names[0]!r}")
    if "\0" in found:
        raise ValueError(f"{place} has a null character in its {names[0]!r}")
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place} has half a surrogate pair in its {names[0]!r}") from error
    return found
