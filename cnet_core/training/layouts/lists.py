"""Layouts with a list of samples as text: prompt.json, metadata.jsonl, train.jsonl, metadata.csv.

`prompt.json` is the released fill50k's, `metadata.jsonl` and `metadata.csv` are Hugging Face's imagefolder, and
`train.jsonl` is what diffusers' training scripts read.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from .sample import COLUMNS, Columns, Entry, Layout, Listed, Unusable, find_by_name

#: Line endings. A JSON string may hold other separators (U+2028, U+2029, U+0085), but none of these.
LINE_END = re.compile(r"\r\n?|\n")
#: The columns in the released fill50k, where the hint is called the source.
FILL50K: Columns = (("target",), ("source",), ("prompt",))
#: In imagefolders the picture's column is called otherwise first.
IMAGEFOLDER: Columns = (("file_name", "image", "image_file_name"), *COLUMNS[1:])


def read_json(listing: Path, columns: Columns) -> list[Entry]:
    """Returns the samples of a list with one JSON object per line, or with one JSON array of objects.

    Raises:
        ValueError: it cannot be read as text or as JSON. PermissionError: no permission to read it.
    """
    text = decode(listing)
    if text.lstrip().startswith("["):
        values = enumerate(_array(listing, text), start=1)
        return [_entry(listing, f"entry {n}", value, columns) for n, value in values]
    lines = enumerate(LINE_END.split(text), start=1)
    return [
        _entry(listing, f"line {n}", _parse(line), columns) for n, line in lines if line.strip()
    ]


def read_csv(listing: Path) -> list[Entry]:
    """Returns the samples of a list with one row of cells per sample, below a row of column names.

    Raises:
        ValueError: it cannot be read as text or as CSV. PermissionError: no permission to read it.
    """
    reader = csv.reader(io.StringIO(decode(listing), newline=""), strict=True)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise ValueError(
            f"{listing} is not CSV at line {reader.line_num}: {error}. Separate cells by commas, and quote cells that "
            'hold commas, quotes or line ends by ".'
        ) from error
    if not rows:
        return []
    head, *body = rows
    _check_head(listing, head)
    return [_row(listing, f"row {n}", head, cells) for n, cells in enumerate(body, start=1)]


def decode(listing: Path) -> str:
    """Returns the text of a list: UTF-8 with or without a byte order mark, UTF-16 or UTF-32.

    Raises:
        ValueError: it has another encoding. PermissionError: no permission to read it.
    """
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


def _entry(listing: Path, place: str, value: object, columns: Columns) -> Entry:
    """Returns the entry of one JSON value; only its texts count."""
    place = f"{place} of {listing.name}"
    if not isinstance(value, dict):
        return Unusable(f"{place} is not a JSON object")
    items = cast(dict[str, object], value).items()
    texts = {name: text for name, text in items if isinstance(text, str)}
    return Listed(place, listing.parent, texts, columns)


def _check_head(listing: Path, head: Iterable[str]) -> None:
    known = [name for names in IMAGEFOLDER for name in names]
    if not any(name in known for name in head):
        raise ValueError(
            f"The first row of {listing} names no column for pictures, hints or texts: {', '.join(head)}. Call them "
            "file_name, conditioning_image and text, and separate them by commas."
        )


def _row(listing: Path, place: str, head: list[str], cells: list[str]) -> Entry:
    place = f"{place} of {listing.name}"
    if len(cells) != len(head):
        return Unusable(
            f"{place} has {len(cells)} cells for {len(head)} columns; quote texts that hold commas"
        )
    return Listed(place, listing.parent, dict(zip(head, cells, strict=True)), IMAGEFOLDER)


LAYOUTS = (
    Layout(
        "prompt.json (source, target, prompt)",
        find_by_name("prompt.json"),
        lambda file: read_json(file, FILL50K),
    ),
    Layout(
        "metadata.jsonl or metadata.csv (file_name, conditioning_image, text)",
        find_by_name("metadata.jsonl", "metadata.csv"),
        lambda file: read_csv(file) if file.suffix == ".csv" else read_json(file, IMAGEFOLDER),
    ),
    Layout(
        "train.jsonl (image, conditioning_image, text)",
        find_by_name("train.jsonl"),
        lambda file: read_json(file, COLUMNS),
    ),
)
