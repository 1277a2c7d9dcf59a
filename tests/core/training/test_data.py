"""Data folders: both layouts, buckets, and every kind of bad sample named and counted."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_folders import pictures
from PIL import ExifTags, Image
from rights import as_nobody, needs_rights

from cnet_core.training.data import bucket, find_usable
from cnet_core.training.order import Visit
from cnet_core.training.pictures import Cache, PictureSamples

LAYOUTS = ["prompt.json", "metadata.jsonl"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_give_the_same_samples(tmp_path: Path, layout: str) -> None:
    found = find_usable(pictures(tmp_path, layout, 4), 32)
    assert [i.picture.relative_to(tmp_path).as_posix() for i in found.items] == [
        f"target/{i}.png" for i in range(4)
    ]
    assert [i.hint.parent.name for i in found.items] == ["source"] * 4
    assert found.items[1].prompt == "a blue star"
    assert (found.sizes, found.bad) == (((32, 32),) * 4, ())


@pytest.mark.parametrize(
    ("height", "width", "side", "expected"),
    [
        (512, 512, 512, (512, 512)),
        (1000, 1500, 512, (384, 640)),
        (3000, 1000, 512, (768, 320)),
        (480, 640, 512, (448, 576)),
        (10, 10, 64, (64, 64)),
        (100, 200, 64, (40, 88)),
    ],
)
def test_buckets_keep_proportions_and_area(
    height: int, width: int, side: int, expected: tuple[int, int]
) -> None:
    found = bucket(height, width, side)
    assert found == expected
    assert found[0] * found[1] <= side * side


def cut(folder: Path) -> None:
    file = folder / "target" / "1.png"
    file.write_bytes(file.read_bytes()[:60])


def remove(folder: Path) -> None:
    (folder / "source" / "1.png").unlink()


def squeeze(folder: Path) -> None:
    Image.new("L", (32, 16)).save(folder / "source" / "1.png")


def garble(folder: Path) -> None:
    lines = (folder / "prompt.json").read_text().splitlines()
    (folder / "prompt.json").write_text("\n".join([lines[0], "{", *lines[2:]]))


def unname(folder: Path) -> None:
    lines = (folder / "prompt.json").read_text().splitlines()
    (folder / "prompt.json").write_text(
        "\n".join([lines[0], json.dumps({"target": "a"}), *lines[2:]])
    )


BROKEN = {
    "cut off": (cut, "1.png is damaged"),
    "missing": (remove, "source/1.png is missing"),
    "mismatched": (squeeze, "is 32 x 32 pixels, but its hint 1.png 32 x 16"),
    "no JSON": (garble, "line 2 of prompt.json is not a JSON object"),
    "no hint": (unname, "line 2 of prompt.json has no text named 'source'"),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN)
def test_a_bad_sample_is_named_counted_and_skipped_only_when_asked(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = pictures(tmp_path, "prompt.json", 4)
    spoil(folder)
    with pytest.raises(ValueError, match=r"1 of 4 samples cannot be used.*--skip-bad") as raised:
        find_usable(folder, 32)
    assert message in str(raised.value).replace("\\", "/")
    found = find_usable(folder, 32, skip_bad=True)
    assert (len(found.items), len(found.bad)) == (3, 1)


def test_folders_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither prompt\.json"):
        find_usable(tmp_path, 32)
    with pytest.raises(ValueError, match="which is not a folder"):
        find_usable(tmp_path / "nowhere", 32)


@needs_rights
def test_what_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own is for its user alone
        os.chmod(place, 0o755)
        folder = pictures(Path(place) / "data", "prompt.json", 4)
        for closed in (folder, folder / "prompt.json"):
            rights = closed.stat().st_mode
            closed.chmod(0)
            with as_nobody(), pytest.raises(PermissionError, match="Permission denied") as raised:
                find_usable(folder, 32)
            assert raised.value.filename is not None
            assert Path(raised.value.filename).parent in (folder, folder.parent)
            closed.chmod(rights)
        (folder / "target" / "1.png").chmod(0)
        with (
            as_nobody(),
            pytest.raises(ValueError, match=r"1 of 4 .*no permission to read .*1\.png"),
        ):
            find_usable(folder, 32)
        with as_nobody():
            assert len(find_usable(folder, 32, skip_bad=True).items) == 3


def rewrite(folder: Path, text: Callable[[str], str], encoding: str = "utf-8") -> Path:
    """Writes a data folder's prompt.json again."""
    lines = (folder / "prompt.json").read_text()
    (folder / "prompt.json").write_bytes(text(lines).encode(encoding))
    return folder


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"], ids=ascii)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=ascii)
def test_line_separators_inside_of_texts_are_kept(tmp_path: Path, separator: str, end: str) -> None:
    control = separator < " "  # JSON allows those only as escapes
    written = f"\\u{ord(separator):04x}" if control else separator
    folder = rewrite(
        pictures(tmp_path, "prompt.json", 4),
        lambda text: text.replace("red star", f"red{written}star").replace("\n", end),
    )
    found = find_usable(folder, 32)
    assert [item.prompt for item in found.items] == [f"a red{separator}star", "a blue star"] * 2


def as_array(text: str) -> str:
    return json.dumps([json.loads(line) for line in text.splitlines()], indent=2)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (as_array, "utf-8"),
        (str, "utf-8-sig"),
        (as_array, "utf-8-sig"),
        (str, "utf-16"),
        (str, "utf-16-le"),
        (str, "utf-32"),
    ],
)
def test_lists_are_read_as_people_save_them(
    tmp_path: Path, text: Callable[[str], str], encoding: str
) -> None:
    folder = rewrite(pictures(tmp_path, "prompt.json", 2), text, encoding)
    assert [item.prompt for item in find_usable(folder, 32).items] == ["a red star", "a blue star"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "nests its brackets too deep"),
        ("", "lists no sample"),
        ('{"source": "a\\u0000", "target": "b", "prompt": "c"}', "line 1 .*has a null character"),
    ],
    ids=["deep", "empty", "null character"],
)
def test_a_list_that_holds_no_sample_is_one_sentence(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "prompt.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_usable(tmp_path, 32)


def test_what_is_no_list_is_named_with_its_place(tmp_path: Path) -> None:
    folder = pictures(tmp_path, "prompt.json", 4)
    lines = (folder / "prompt.json").read_text()
    rewrite(folder, lambda text: text.replace("blue", "bl\u00fc"), "latin-1")
    with pytest.raises(
        ValueError, match=r"Line 2 of .*prompt\.json is not UTF-8: byte 0xfc.*UTF-8\."
    ):
        find_usable(folder, 32)
    (folder / "prompt.json").write_text("[" + lines)
    with pytest.raises(ValueError, match=r"prompt\.json starts like a JSON array, but is not one"):
        find_usable(folder, 32)
    (folder / "prompt.json").write_text("\n" + as_array(lines).replace("a red star", "\\ud800", 1))
    with pytest.raises(ValueError, match=r"entry 1 of prompt\.json has half a surrogate pair"):
        find_usable(folder, 32)


def ramp(dtype: str, low: float, high: float) -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(low, high, 32).astype(dtype), (32, 1)))


@pytest.mark.parametrize("name", ["source", "target"])
@pytest.mark.parametrize(
    ("dtype", "low", "high", "message"),
    [
        ("float32", 0, 255, "values from 0 to 255, not 0 to 1"),
        ("float32", -1, 1, "values from -1 to 1, not 0 to 1"),
        ("float32", 0, float("nan"), "values from nan to nan"),
        ("int32", 0, 255, "32-bit or signed integers, whose value for white is unknown"),
        ("int32", 0, 2**31 - 1, "32-bit or signed integers"),
    ],
)
def test_gray_pictures_whose_white_is_not_known_are_refused(
    tmp_path: Path, name: str, dtype: str, low: float, high: float, message: str
) -> None:
    folder = rewrite(pictures(tmp_path, "prompt.json", 2), lambda text: text.replace("png", "tiff"))
    for place in ("source", "target"):
        for index in range(2):
            ramp("float32", 0, 1).save(folder / place / f"{index}.tiff")
    assert len(find_usable(folder, 32).items) == 2
    ramp(dtype, low, high).save(folder / name / "1.tiff")
    with pytest.raises(ValueError, match=r"1 of 2 samples .*1\.tiff holds") as caught:
        find_usable(folder, 32)
    assert message in str(caught.value)


@pytest.mark.parametrize(("dtype", "white"), [("float32", 1), ("uint16", 65535), ("uint8", 255)])
def test_gray_tiff_hints_keep_their_range(tmp_path: Path, dtype: str, white: float) -> None:
    folder = rewrite(
        pictures(tmp_path / "data", "prompt.json", 1),
        lambda text: text.replace("source/0.png", "source/0.tiff"),
    )
    ramp(dtype, 0, white).save(folder / "source" / "0.tiff")
    samples = PictureSamples(find_usable(folder, 32), Encoder(), Cache(tmp_path / "cache"))
    hint = samples.batch([Visit(0, "a", 0)], [False]).hints
    expected = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    torch.testing.assert_close(hint, expected, rtol=0, atol=4e-3)


def test_pictures_of_floats_may_overshoot_when_they_are_scaled(tmp_path: Path) -> None:
    folder = rewrite(
        pictures(tmp_path / "data", "prompt.json", 1),
        lambda text: text.replace("target/0.png", "target/0.tiff"),
    )
    steps = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((12, 12))).astype(np.float32)
    Image.fromarray(steps).save(folder / "target" / "0.tiff")
    samples = PictureSamples(find_usable(folder, 32), Encoder(), Cache(tmp_path / "cache"))
    assert bool(samples.batch([Visit(0, "a", 0)], [False]).latents.isfinite().all())


def test_pictures_above_pillows_limit_are_named_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(tmp_path, "prompt.json", 2, size=(2000, 2000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_500_000)
    with pytest.raises(ValueError, match=r"has more than 3 million pixels, Pillow's limit"):
        find_usable(folder, 32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3_000_000)
    assert len(find_usable(folder, 32).items) == 2


class Encoder:
    """Latents are the pictures' mean colours; counts how often it is asked."""

    name = "mean colours"

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        small = torch.nn.functional.avg_pool2d(pictures, 8)
        mean = torch.cat([small, small[:, :1]], dim=1)
        return mean, torch.full_like(mean, 0.1)


def test_latents_are_computed_once_and_mirrored_with_their_hints(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", "prompt.json", 2)
    half = Image.new("RGB", (32, 32), (200, 90, 0))
    half.paste((0, 90, 200), (16, 0, 32, 32))
    half.save(folder / "target" / "0.png")
    half.save(folder / "source" / "0.png")
    encoder = Encoder()
    samples = PictureSamples(find_usable(folder, 32), encoder, Cache(tmp_path / "cache"))
    samples.prepare(flip=True)
    visits = [Visit(0, "a", 0), Visit(0, "a", 0)]
    batch = samples.batch(visits, [False, True])
    assert encoder.calls == 4  # two samples, plain and mirrored, and never again
    torch.testing.assert_close(batch.hints[0], batch.hints[1].flip(-1))
    plain, mirrored = batch.latents[:, 0].mean(1)
    assert bool((plain[0] - plain[-1] > 0.3).all())
    assert bool((mirrored[-1] - mirrored[0] > 0.3).all())


def test_moved_pictures_keep_their_latents_and_damaged_ones_are_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = pictures(tmp_path / "data", "prompt.json", 2)
    encoder, cache = Encoder(), Cache(tmp_path / "cache")
    PictureSamples(find_usable(folder, 32), encoder, cache).prepare(flip=False)
    shutil.copytree(folder, tmp_path / "elsewhere")
    again = PictureSamples(find_usable(tmp_path / "elsewhere", 32), encoder, cache)
    again.prepare(flip=False)
    assert encoder.calls == 2
    whole = again.batch([Visit(0, "a", 0)], [False]).latents
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:-5])
    again.prepare(flip=False)
    assert encoder.calls == 4
    assert caplog.text.count("A cached file is damaged and will be computed again") == 2
    assert torch.equal(again.batch([Visit(0, "a", 0)], [False]).latents, whole)


def test_hints_of_16_bits_keep_them(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", "prompt.json", 1)
    ramp = np.linspace(0, 65535, 32).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (32, 1))).save(folder / "source" / "0.png")
    samples = PictureSamples(find_usable(folder, 32), Encoder(), Cache(tmp_path / "cache"))
    hint = samples.batch([Visit(0, "a", 0)], [False]).hints
    expected = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    torch.testing.assert_close(hint, expected, rtol=0, atol=1e-4)


def test_pictures_are_upright_as_the_camera_was_held(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", "prompt.json", 1)
    lying = Image.new("RGB", (64, 32))
    lying.paste((255, 255, 255), (0, 0, 32, 32))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turned by a quarter: the left is the top
    for name in ("source", "target"):
        lying.save(folder / name / "0.png", exif=exif)
    found = find_usable(folder, 64)
    samples = PictureSamples(found, Encoder(), Cache(tmp_path / "cache"))
    batch = samples.batch([Visit(0, "a", 0)], [False])
    height, width = found.sizes[0]
    assert height > width
    for rows in (batch.hints[0, 0], batch.latents[0, 0]):
        assert rows[0].mean() > 0.7 > 0.3 > rows[-1].mean()
