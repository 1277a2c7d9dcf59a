"""Draws a picture of each data layout of `cnet train`: `python docs/data_layouts.py [--out docs/images]`.

Pictures, hints and captions are samples of the embedded model's own data.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from cnet_core.tiny.sheet import to_image
from cnet_core.tiny.training import TinyBase, TinySamples

OUT = Path(__file__).parent / "images"
WIDTH, MARGIN, INDENT, ROW, THUMB = 760, 16, 28, 30, 56
PAPER, INK, FAINT, CARD = (250, 250, 248), (25, 25, 28), (110, 110, 116), (236, 236, 231)
#: Where a file's content begins, and the columns of a table.
CONTENT, COLUMNS = 330, (44, 150, 330)
LONGEST = 32  # letters of a caption
HEADS = ("image", "conditioning_image", "text")


@dataclass(frozen=True)
class Sample:
    """What one sample consists of."""

    picture: Image.Image
    hint: Image.Image
    caption: str


@dataclass(frozen=True)
class Entry:
    """A file or folder: its depth in the tree, its name, and what is in it."""

    depth: int
    name: str
    text: str = ""
    thumb: Image.Image | None = None
    table: Sequence[Sample] = field(default_factory=tuple)  # rows of a file that holds samples


def lists(samples: Sequence[Sample]) -> list[Entry]:
    """A list next to the files that it names."""
    lines = ["file_name,conditioning_image,text"]
    lines += [f"{n}.jpg,edges/{n}.png,{s.caption}" for n, s in zip("ab", samples, strict=True)]
    return [
        Entry(0, "my_pictures/"),
        *(Entry(1, "" if i else "metadata.csv", line) for i, line in enumerate(lines)),
        *(Entry(1, f"{n}.jpg", thumb=s.picture) for n, s in zip("ab", samples, strict=True)),
        Entry(1, "edges/"),
        *(Entry(2, f"{n}.png", thumb=s.hint) for n, s in zip("ab", samples, strict=True)),
    ]


def captions(samples: Sequence[Sample]) -> list[Entry]:
    """Picture, caption and hint with one stem, as kohya's scripts read them."""
    pairs = list(zip("ab", samples, strict=True))
    files = [
        (Entry(1, f"{n}.jpg", thumb=s.picture), Entry(1, f"{n}.txt", s.caption)) for n, s in pairs
    ]
    return [
        Entry(0, "my_pictures/"),
        *(entry for both in files for entry in both),
        Entry(1, "conditioning/"),
        *(Entry(2, f"{n}.png", thumb=s.hint) for n, s in pairs),
    ]


def parquet(samples: Sequence[Sample]) -> list[Entry]:
    """A table whose cells hold encoded pictures."""
    return [
        Entry(0, "my_pictures/"),
        Entry(1, "data/"),
        Entry(2, "train-00000-of-00002.parquet", table=samples),
        Entry(2, "train-00001-of-00002.parquet", "more rows"),
    ]


def saved_to_disk(samples: Sequence[Sample]) -> list[Entry]:
    """A folder by `save_to_disk` of datasets."""
    return [
        Entry(0, "my_pictures/"),
        Entry(1, "dataset_dict.json", "names the splits"),
        Entry(1, "train/"),
        Entry(2, "state.json", "names the files"),
        Entry(2, "data-00000-of-00001.arrow", table=samples),
    ]


def webdataset(samples: Sequence[Sample]) -> list[Entry]:
    """A tar file whose members share their stem."""
    found = [Entry(0, "my_pictures/"), Entry(1, "part-00000.tar")]
    for number, sample in enumerate(samples, start=1):
        found += [
            Entry(2, f"{number:04d}.jpg", thumb=sample.picture),
            Entry(2, f"{number:04d}.conditioning.png", thumb=sample.hint),
            Entry(2, f"{number:04d}.txt", sample.caption),
        ]
    return found


LAYOUTS: dict[str, Callable[[Sequence[Sample]], list[Entry]]] = {
    f"layout_{each.__name__}": each
    for each in (lists, captions, parquet, saved_to_disk, webdataset)
}


def draw_layout(entries: Sequence[Entry]) -> Image.Image:
    """Returns the tree of files, with what is in them."""
    sheet = Image.new("RGB", (WIDTH, 2 * MARGIN + sum(map(_height, entries))), PAPER)
    draw, y = ImageDraw.Draw(sheet), MARGIN
    for entry in entries:
        _draw_entry(sheet, draw, entry, y)
        y += _height(entry)
    return sheet


def _height(entry: Entry) -> int:
    rows = ROW * (1 + bool(entry.table)) + len(entry.table) * (THUMB + 8)
    return THUMB + 8 if entry.thumb else rows


def _draw_entry(sheet: Image.Image, draw: ImageDraw.ImageDraw, entry: Entry, y: int) -> None:
    font = ImageFont.load_default(17)
    x, middle = MARGIN + INDENT * entry.depth, y + (THUMB if entry.thumb else ROW) / 2
    draw.text((x, middle), entry.name, fill=INK, font=font, anchor="lm")
    if entry.text:
        end = CONTENT + draw.textlength(entry.text, font=font) + 16
        draw.rectangle((CONTENT - 8, y + 1, end, y + ROW - 1), fill=CARD)
        draw.text((CONTENT, middle), entry.text, fill=INK, font=font, anchor="lm")
    if entry.thumb:
        sheet.paste(entry.thumb.resize((THUMB, THUMB)), (CONTENT, y))
    if entry.table:
        _draw_table(sheet, draw, entry.table, y + ROW)


def _draw_table(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, samples: Sequence[Sample], y: int
) -> None:
    font = ImageFont.load_default(17)
    left = MARGIN + 2 * INDENT
    for head, column in zip(HEADS, COLUMNS, strict=True):
        draw.text((left + column, y + ROW / 2), head, fill=FAINT, font=font, anchor="lm")
    for index, sample in enumerate(samples):
        top = y + ROW + index * (THUMB + 8)
        for picture, column in ((sample.picture, COLUMNS[0]), (sample.hint, COLUMNS[1])):
            sheet.paste(picture.resize((THUMB, THUMB)), (left + column, top))
        place = (left + COLUMNS[2], top + THUMB / 2)
        draw.text(place, sample.caption, fill=INK, font=font, anchor="lm")


def draw_samples() -> list[Sample]:
    """Returns two samples of the embedded model's data, with whole captions that fit."""
    data = TinySamples(TinyBase.load().autoencoder, 128)
    found = [
        Sample(to_image(p[0]), to_image(h[0]), text) for p, h, text in map(data.sample, range(40))
    ]
    whole = [s for s in found if " on " in s.caption and "shape" not in s.caption]
    return [sample for sample in whole if len(sample.caption) <= LONGEST][:2]


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws a picture of each data layout.")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    args = parser.parse_args()
    samples = draw_samples()
    for name, entries in LAYOUTS.items():
        draw_layout(entries(samples)).save(args.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
