"""Pictures with hints and prompts on disk: which samples are usable, and at which size."""

import hashlib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from ..checkpoints.container.files import Progress
from ..control.hints import check_gray
from .layouts import Item, Stored, read_entries
from .picture_formats import open_picture

#: Proportions of picture and hint may differ by this fraction, for rounding.
MAX_MISMATCH = 0.02
#: How many bad samples a message names.
NAMED = 5
#: Sides of a bucket are multiples of this; for small pictures, multiples of the latents' 8.
BUCKET_STEP, SMALL_SIDE = 64, 256


@dataclass(frozen=True)
class UsableItems:
    """The usable samples of a folder."""

    items: tuple[Item, ...]
    sizes: tuple[tuple[int, int], ...]  # (height, width) in pixels, one per item, of its bucket
    bad: tuple[str, ...]  # the faults of the others, a line each


def find_usable(
    folder: Path,
    side: int,
    *,
    skip_bad: bool = False,
    progress: Progress | None = None,
    needs_hint: bool = True,
    most: int | None = None,
    option: str = "--data",
) -> UsableItems:
    """Returns the intact samples of a folder, each with its bucket; opens every picture.

    Args:
        folder: in one of the layouts, or one list, table or tar file.
        side: buckets have at most side x side pixels.
        skip_bad: skip unusable samples instead of raising.
        progress: called with (samples seen, samples in all).
        needs_hint: whether a sample without a hint is unusable.
        most: the number of samples to read; None reads all.
        option: the option that named the folder, for messages.

    Raises:
        ValueError: no such layout, no samples; or, without `skip_bad`, bad ones, with their number and names.
        PermissionError: no permission to read the folder or its list of samples.
    """
    entries = read_entries(folder, option)[:most]
    items: list[Item] = []
    sizes: list[tuple[int, int]] = []
    bad: list[str] = []
    for number, entry in enumerate(entries, start=1):
        try:
            item, size = _inspect_item(entry.item(needs_hint=needs_hint))
            sizes.append(bucket(*size, side))
            items.append(item)
        except ValueError as error:
            bad.append(str(error))
        if progress is not None:
            progress(number, len(entries))
    if not entries:
        raise ValueError(f"{folder} lists no sample.")
    if bad and not skip_bad:
        raise ValueError(
            f"{_name_bad(bad, len(entries))} Fix them, or skip them with `--skip-bad`."
        )
    if not items:
        raise ValueError(f"{folder} lists no usable sample. {_name_bad(bad, len(entries))}")
    return UsableItems(tuple(items), tuple(sizes), tuple(bad))


def bucket(height: int, width: int, side: int) -> tuple[int, int]:
    """Returns the (height, width) in pixels that a picture is cropped to: its proportions, at most side^2 pixels."""
    step = BUCKET_STEP if side >= SMALL_SIDE else 8
    aspect = math.log(height / width)
    return min(_buckets(side, step), key=lambda b: (abs(math.log(b[0] / b[1]) - aspect), b))


def _buckets(side: int, step: int) -> Sequence[tuple[int, int]]:
    """The largest height that fits for every width from side / 2 to 2 * side."""
    widths = range(max(step, side // 2 // step * step), 2 * side + 1, step)
    return [(h, w) for w in widths if (h := side * side // w // step * step) >= step]


def _inspect_item(item: Item) -> tuple[Item, tuple[int, int]]:
    """Returns an item with its digests, and the (height, width) of its picture.

    Raises:
        ValueError: picture or hint is missing or damaged, or their proportions differ.
    """
    (height, width), picture_digest = _inspect_picture(item.picture)
    if item.hint is None:
        return replace(item, picture_digest=picture_digest), (height, width)
    (hint_height, hint_width), hint_digest = _inspect_picture(item.hint)
    if abs(math.log(height / width) - math.log(hint_height / hint_width)) > MAX_MISMATCH:
        raise ValueError(
            f"{item.picture.path} is {width} x {height} pixels, but its hint {item.hint.path.name} {hint_width} x "
            f"{hint_height}"
        )
    found = replace(item, picture_digest=picture_digest, hint_digest=hint_digest)
    return found, (height, width)


def _inspect_picture(stored: Stored) -> tuple[tuple[int, int], str]:
    """Returns (height, width) and the digest of an encoded picture."""
    path = stored.path
    try:
        content = stored.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # below the limit
            with open_picture(content) as image:
                check_gray(image, str(path))
                upright = ImageOps.exif_transpose(image)  # reads it all
        return (upright.height, upright.width), hashlib.blake2b(content, digest_size=16).hexdigest()
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise ValueError(f"{path} has more than {limit} million pixels, Pillow's limit") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} is damaged or not a picture") from error


def _name_bad(bad: Sequence[str], count: int) -> str:
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    return f"{len(bad)} of {count} samples cannot be used: {'; '.join(bad[:NAMED])}{more}."
