"""Twenty pictures as people have them, with hints and captions, in every layout that training reads."""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

#: Ends of lines that lists of JSON objects or rows may hold in a text; a JSON text needs escapes for the first two.
LINE_ENDS = ("\n", "\r", "\r\n")
#: What Python's str.splitlines takes for line ends too.
SEPARATORS = ("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16")
#: Layouts that need pyarrow.
TABLES = ("parquet", "arrow")
SIZES = ((32, 32), (64, 48), (33, 97), (80, 24), (31, 47))


@dataclass(frozen=True)
class Sample:
    """The encoded bytes of one sample, by the endings of its files."""

    stem: str
    picture: bytes
    picture_ending: str
    hint: bytes
    hint_ending: str
    caption: str

    @property
    def picture_name(self) -> str:
        return self.stem + self.picture_ending

    @property
    def hint_name(self) -> str:
        return "conditioning/" + self.stem + self.hint_ending


def samples(separators: Sequence[str], count: int = 20) -> list[Sample]:
    """Twenty samples: modes, sizes, formats and EXIF orientations; each caption holds one of the separators."""
    return [_sample(index, separators[index % len(separators)]) for index in range(count)]


def _sample(index: int, separator: str) -> Sample:
    size, mode = SIZES[index % len(SIZES)], MODES[index % len(MODES)]
    caption = (
        f'  star {index},{separator}"red" | \u00e9\U0001f600;\t' if index % 4 else f"a{separator}b"
    )
    picture, ending = _encoded(_noise(size, index, mode), 1 + index % 8)
    hint, hint_ending = _encoded(_noise(size, 100 + index, "L"), 1 + index % 8)
    return Sample(f"{index:02d}", picture, ending, hint, hint_ending, caption.strip(" \t"))


def _noise(size: tuple[int, int], seed: int, mode: str) -> Image.Image:
    draw = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(draw.integers(0, 65536, size[::-1], dtype=np.uint16))
    coarse = draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def _encoded(image: Image.Image, orientation: int) -> tuple[bytes, str]:
    """Returns a file of a format that takes the mode, turned by its EXIF data."""
    kinds = {"CMYK": ("JPEG", ".jpg"), "RGB": ("WEBP", ".webp"), "1": ("TIFF", ".tif")}
    format, ending = kinds.get(image.mode, ("PNG", ".png"))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = io.BytesIO()
    image.save(file, format, exif=exif)
    return file.getvalue(), ending


def write_files(folder: Path, found: Sequence[Sample]) -> Path:
    """Writes pictures, and hints into `conditioning/`, as files."""
    (folder / "conditioning").mkdir(parents=True)
    for sample in found:
        (folder / sample.picture_name).write_bytes(sample.picture)
        (folder / sample.hint_name).write_bytes(sample.hint)
    return folder


def _json_lines(name: str, column: str) -> Callable[[Path, Sequence[Sample]], None]:
    def write(folder: Path, found: Sequence[Sample]) -> None:
        write_files(folder, found)
        rows = [
            {column: s.picture_name, "conditioning_image": s.hint_name, "text": s.caption}
            for s in found
        ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).write_bytes(text.encode())

    return write


def _csv(folder: Path, found: Sequence[Sample]) -> None:
    write_files(folder, found)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "text", "conditioning_image"])
        rows.writerows([s.picture_name, s.caption, s.hint_name] for s in found)


def _pairs(folder: Path, found: Sequence[Sample]) -> None:
    write_files(folder, found)
    for sample in found:
        (folder / f"{sample.stem}.txt").write_bytes(sample.caption.encode() + b"\r\n")


def _tars(folder: Path, found: Sequence[Sample]) -> None:
    folder.mkdir(parents=True)
    half = len(found) // 2
    for number, part in enumerate((found[:half], found[half:])):
        with tarfile.open(folder / f"part-{number:05d}.tar", "w") as tar:
            for s in part:
                _add(tar, f"./{s.stem}{s.picture_ending}", s.picture)
                _add(tar, f"./{s.stem}.conditioning{s.hint_ending}", s.hint)
                _add(tar, f"./{s.stem}.txt", s.caption.encode())
                _add(tar, f"./{s.stem}.json", json.dumps({"caption": "not this"}).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _columns(found: Sequence[Sample]) -> dict[str, list[object]]:
    return {
        "text": [s.caption for s in found],
        "image": [{"bytes": s.picture, "path": s.picture_name} for s in found],
        "conditioning_image": [{"bytes": s.hint, "path": None} for s in found],
        "more": list(range(len(found))),
    }


def _parquet(folder: Path, found: Sequence[Sample]) -> None:
    import pyarrow
    import pyarrow.parquet

    (folder / "data").mkdir(parents=True)
    half = len(found) // 2
    for number, part in enumerate((found[:half], found[half:])):
        pyarrow.parquet.write_table(
            pyarrow.table(_columns(part)),
            folder / "data" / f"train-{number:05d}-of-00002.parquet",
            row_group_size=3,
        )
    (folder / "data" / "test-00000-of-00001.parquet").write_bytes(b"another split")


def _arrow(folder: Path, found: Sequence[Sample]) -> None:
    """As `datasets` writes a data set of splits: streams of record batches, and a list of their files."""
    import pyarrow

    part = folder / "train"
    part.mkdir(parents=True)
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    table = pyarrow.table(_columns(found))
    with pyarrow.ipc.new_stream(str(part / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table, max_chunksize=7)
    (part / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')


#: Layout -> (what writes it, separators that its captions may hold).
LAYOUTS = {
    "metadata.jsonl": (_json_lines("metadata.jsonl", "file_name"), (*LINE_ENDS, *SEPARATORS)),
    "train.jsonl": (_json_lines("train.jsonl", "image"), (*LINE_ENDS, *SEPARATORS)),
    "metadata.csv": (_csv, (*LINE_ENDS, *SEPARATORS)),
    "pairs": (_pairs, SEPARATORS),
    "tars": (_tars, (*LINE_ENDS, *SEPARATORS)),
    "parquet": (_parquet, (*LINE_ENDS, *SEPARATORS)),
    "arrow": (_arrow, (*LINE_ENDS, *SEPARATORS)),
}


def write_samples(layout: str, folder: Path, count: int = 20) -> list[Sample]:
    """Writes samples in a layout, with every separator that its captions may hold."""
    if layout in TABLES:
        pytest.importorskip("pyarrow")
    writer, separators = LAYOUTS[layout]
    found = samples(separators, count)
    writer(folder, found)
    return found


def filter_tar(file: Path, wanted: Callable[[str], bool]) -> None:
    """Removes all members from a tar but those whose names are wanted."""
    kept = file.with_suffix(".kept")
    with tarfile.open(file) as old, tarfile.open(kept, "w") as new:
        for member in old:
            if wanted(member.name):
                new.addfile(member, old.extractfile(member))
    kept.replace(file)
