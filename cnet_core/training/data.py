"""Folders of pictures with hints and prompts, and which of them can be used.

Two layouts: `prompt.json`, as of the released fill50k (lines with source, target, prompt; the source is the hint), and
`metadata.jsonl`, Hugging Face's imagefolder (lines with file_name, conditioning_image and text).
"""

import json
import math
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL import Image, ImageOps, UnidentifiedImageError

#: File -> names of its fields for (picture, hint, prompt); the first one that a line has.
LAYOUTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "prompt.json": (("target",), ("source",), ("prompt",)),
    "metadata.jsonl": (
        ("file_name",),
        ("conditioning_image", "conditioning_image_file_name"),
        ("text", "prompt", "caption"),
    ),
}
#: Proportions of picture and hint may differ by this share: rounding, not another picture.
MAX_MISMATCH = 0.02
#: So many bad samples are named in a message.
NAMED = 5
#: Sides of a bucket are multiples of this; of small pictures, of the latents' 8.
BUCKET_STEP, SMALL_SIDE = 64, 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Item:
    """One sample on disk."""

    picture: Path
    hint: Path
    prompt: str


@dataclass(frozen=True)
class Usable:
    """What of a folder can be trained on."""

    items: tuple[Item, ...]
    sizes: tuple[tuple[int, int], ...]  # (height, width) in pixels, one per item, of its bucket
    bad: tuple[str, ...]  # what is wrong with the others, a line each


def usable(
    folder: Path, side: int, *, skip_bad: bool = False, progress: Progress | None = None
) -> Usable:
    """Returns the samples of a folder that are whole, each with its bucket; every picture is opened.

    Args:
        folder: with one of LAYOUTS.
        side: buckets have at most side x side pixels.
        skip_bad: leave out what cannot be used, instead of raising.
        progress: called with (samples seen, samples in all).

    Raises:
        ValueError: no such layout, no samples; or, without `skip_bad`, bad ones, which are counted and named.
        PermissionError: the folder or its list of samples may not be read.
    """
    index, fields = _index(folder)
    lines = [line for line in index.read_text(encoding="utf-8").splitlines() if line.strip()]
    items: list[Item] = []
    sizes: list[tuple[int, int]] = []
    bad: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            item = _item(index, number, line, fields)
            sizes.append(bucket(*_size(item), side))
            items.append(item)
        except ValueError as error:
            bad.append(str(error))
        if progress is not None:
            progress(number, len(lines))
    if bad and not skip_bad:
        raise ValueError(
            f"{_listed(bad, len(lines))} Mend them, or leave them out by `--skip-bad`."
        )
    if not items:
        raise ValueError(f"{index} names no sample that can be used. {_listed(bad, len(lines))}")
    return Usable(tuple(items), tuple(sizes), tuple(bad))


def bucket(height: int, width: int, side: int) -> tuple[int, int]:
    """Returns the (height, width) in pixels to which a picture is cut: of at most side^2 pixels, of its proportions."""
    step = BUCKET_STEP if side >= SMALL_SIDE else 8
    aspect = math.log(height / width)
    return min(_buckets(side, step), key=lambda b: (abs(math.log(b[0] / b[1]) - aspect), b))


def _buckets(side: int, step: int) -> Sequence[tuple[int, int]]:
    """For every width from side / 2 to 2 * side the largest height that fits."""
    widths = range(max(step, side // 2 // step * step), 2 * side + 1, step)
    return [(h, w) for w in widths if (h := side * side // w // step * step) >= step]


def _index(folder: Path) -> tuple[Path, tuple[tuple[str, ...], ...]]:
    if not folder.is_dir():
        raise ValueError(f"`--data` is {folder}, which is no folder.")
    for name, fields in LAYOUTS.items():
        for place in (folder, folder / "train"):
            if _is_file(place / name):
                return place / name, fields
    raise ValueError(
        f"{folder} holds neither prompt.json (lines with source, target, prompt) nor metadata.jsonl (lines with "
        "file_name, conditioning_image, text)."
    )


def _is_file(path: Path) -> bool:
    """As Path.is_file, which from Python 3.14 on says of what may not be looked at that it is not there."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _item(index: Path, number: int, line: str, fields: tuple[tuple[str, ...], ...]) -> Item:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number} of {index.name} is not JSON") from error
    if not isinstance(values, dict):
        raise ValueError(f"line {number} of {index.name} is no JSON object")
    found = [_field(cast(dict[str, Any], values), names) for names in fields]
    for names, value in zip(fields, found, strict=True):
        if value is None:
            raise ValueError(f"line {number} of {index.name} has no text named {names[0]!r}")
    picture, hint, prompt = cast(list[str], found)
    return Item(index.parent / picture, index.parent / hint, prompt)


def _field(values: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((values[n] for n in names if isinstance(values.get(n), str)), None)


def _size(item: Item) -> tuple[int, int]:
    """Returns (height, width) of the picture; raises ValueError unless picture and hint are whole and match."""
    (height, width), (hint_height, hint_width) = (_opened(p) for p in (item.picture, item.hint))
    if abs(math.log(height / width) - math.log(hint_height / hint_width)) > MAX_MISMATCH:
        raise ValueError(
            f"{item.picture} is {width} x {height} pixels, but its hint {item.hint.name} {hint_width} x {hint_height}"
        )
    return height, width


def _opened(path: Path) -> tuple[int, int]:
    try:
        if not _is_file(path):
            raise ValueError(f"{path} is missing")
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)  # reads it all
            return upright.height, upright.width
    except PermissionError as error:
        raise ValueError(f"{path} may not be read") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is broken or no picture") from error


def _listed(bad: Sequence[str], count: int) -> str:
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return f"{len(bad)} of {count} samples cannot be used: {'; '.join(bad[:NAMED])}{more}."
