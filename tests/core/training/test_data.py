"""Data folders: both layouts, buckets, and every kind of bad sample named and counted."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_folders import pictures
from PIL import ExifTags, Image
from rights import as_nobody, needs_rights

from cnet_core.training.data import bucket, usable
from cnet_core.training.order import Visit
from cnet_core.training.pictures import Cache, PictureSamples

LAYOUTS = ["prompt.json", "metadata.jsonl"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_give_the_same_samples(tmp_path: Path, layout: str) -> None:
    found = usable(pictures(tmp_path, layout, 4), 32)
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
    "cut off": (cut, "1.png is broken"),
    "missing": (remove, "source/1.png is missing"),
    "mismatched": (squeeze, "is 32 x 32 pixels, but its hint 1.png 32 x 16"),
    "no JSON": (garble, "line 2 of prompt.json is not JSON"),
    "no hint": (unname, "line 2 of prompt.json has no text named 'source'"),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN)
def test_a_bad_sample_is_named_counted_and_skipped_only_when_asked(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    folder = pictures(tmp_path, "prompt.json", 4)
    spoil(folder)
    with pytest.raises(ValueError, match=r"1 of 4 samples cannot be used.*--skip-bad") as raised:
        usable(folder, 32)
    assert message in str(raised.value).replace("\\", "/")
    found = usable(folder, 32, skip_bad=True)
    assert (len(found.items), len(found.bad)) == (3, 1)


def test_folders_without_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither prompt\.json"):
        usable(tmp_path, 32)
    with pytest.raises(ValueError, match="which is no folder"):
        usable(tmp_path / "nowhere", 32)


@needs_rights
def test_what_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own is for its user alone
        os.chmod(place, 0o755)
        folder = pictures(Path(place) / "data", "prompt.json", 4)
        for closed in (folder, folder / "prompt.json"):
            rights = closed.stat().st_mode
            closed.chmod(0)
            with as_nobody(), pytest.raises(PermissionError, match="Permission denied") as raised:
                usable(folder, 32)
            assert raised.value.filename is not None
            assert Path(raised.value.filename).parent in (folder, folder.parent)
            closed.chmod(rights)
        (folder / "target" / "1.png").chmod(0)
        with as_nobody(), pytest.raises(ValueError, match=r"1 of 4 .*1\.png may not be read"):
            usable(folder, 32)
        with as_nobody():
            assert len(usable(folder, 32, skip_bad=True).items) == 3


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
    samples = PictureSamples(usable(folder, 32), encoder, Cache(tmp_path / "cache"))
    samples.prepare(flip=True)
    visits = [Visit(0, "a", 0), Visit(0, "a", 0)]
    batch = samples.batch(visits, [False, True])
    assert encoder.calls == 4  # two samples, plain and mirrored, and never again
    torch.testing.assert_close(batch.hints[0], batch.hints[1].flip(-1))
    plain, mirrored = batch.latents[:, 0].mean(1)
    assert bool((plain[0] - plain[-1] > 0.3).all())
    assert bool((mirrored[-1] - mirrored[0] > 0.3).all())


def test_hints_of_16_bits_keep_them(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "data", "prompt.json", 1)
    ramp = np.linspace(0, 65535, 32).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (32, 1))).save(folder / "source" / "0.png")
    samples = PictureSamples(usable(folder, 32), Encoder(), Cache(tmp_path / "cache"))
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
    found = usable(folder, 64)
    samples = PictureSamples(found, Encoder(), Cache(tmp_path / "cache"))
    batch = samples.batch([Visit(0, "a", 0)], [False])
    height, width = found.sizes[0]
    assert height > width
    for rows in (batch.hints[0, 0], batch.latents[0, 0]):
        assert rows[0].mean() > 0.7 > 0.3 > rows[-1].mean()
