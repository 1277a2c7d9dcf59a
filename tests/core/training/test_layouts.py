"""Data layouts: the same samples in each give the same batches and the same weights."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from odd_pictures import LAYOUTS, TABLES, Sample, filter_tar, samples, write_samples
from PIL import Image
from training_models import SmallBase, weights

from cnet_core.control.edges import find_edges
from cnet_core.control.hints import tensor_of
from cnet_core.training import Trainer, TrainingSettings
from cnet_core.training.data import find_usable
from cnet_core.training.made_hints import HINT_MAKERS, HintMaker
from cnet_core.training.order import Visit
from cnet_core.training.pictures import Cache, PictureSamples

SIDE = 32


class Encoder:
    """Latents are the pictures' mean colours."""

    name = "mean colours"

    def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        small = torch.nn.functional.avg_pool2d(pictures, 8)
        mean = torch.cat([small, small[:, :1]], dim=1)
        return mean, torch.full_like(mean, 0.1)


def prepared(data: Path, cache: Path, maker: HintMaker | None = None) -> PictureSamples:
    found = find_usable(data, SIDE, needs_hint=maker is None)
    ready = PictureSamples(found, Encoder(), Cache(cache), maker)
    ready.prepare(flip=True)
    return ready


def trained(ready: PictureSamples) -> dict[str, torch.Tensor]:
    settings = TrainingSettings(batch_size=2, learning_rate=1e-3, warmup=0, flip=True)
    trainer = Trainer(SmallBase(), ready, settings)
    for _ in range(5):
        trainer.advance()
    return weights(trainer.net)


Expected = tuple[PictureSamples, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[str]], Expected]:
    """Samples in metadata.jsonl and the weights that they train, by the separators in their captions."""

    @cache
    def make(separators: Sequence[str]) -> Expected:
        folder = tmp_path_factory.mktemp("plain")
        LAYOUTS["metadata.jsonl"][0](folder / "data", samples(separators))
        ready = prepared(folder / "data", folder / "cache")
        return ready, trained(ready)

    return make


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "metadata.jsonl"])
def test_a_layout_trains_as_metadata_jsonl_does(
    tmp_path: Path, layout: str, plain: Callable[[Sequence[str]], Expected]
) -> None:
    found = write_samples(layout, tmp_path / "data")
    expected, theirs = plain(LAYOUTS[layout][1])
    given = prepared(tmp_path / "data", tmp_path / "cache")
    assert [item.prompt for item in given.found.items] == [sample.caption for sample in found]
    assert given.sizes == expected.sizes
    for index in range(len(found)):
        for flip in (False, True):
            one, other = (s.batch([Visit(index, "a", 0)], [flip]) for s in (given, expected))
            assert torch.equal(one.latents, other.latents)
            assert torch.equal(one.hints, other.hints)
    ours = trained(given)
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_folder_that_datasets_wrote_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    found = samples(("\u2028", "\n"), 6)
    columns = {
        "image": [{"bytes": s.picture, "path": None} for s in found],
        "conditioning_image": [{"bytes": s.hint, "path": None} for s in found],
        "text": [s.caption for s in found],
    }
    image = datasets.Image(decode=False)
    features = {"image": image, "conditioning_image": image, "text": datasets.Value("string")}
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    made.select([4, 2, 0]).save_to_disk(str(tmp_path / "data"))
    items = find_usable(tmp_path / "data", SIDE).items
    assert [item.prompt for item in items] == [found[i].caption for i in (4, 2, 0)]
    assert [item.picture.read() for item in items] == [found[i].picture for i in (4, 2, 0)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hints_are_made_where_there_are_none(tmp_path: Path, layout: str) -> None:
    """A made hint is what a PNG of the cut picture's edges would be, mirrored with its picture."""
    count = 4 if layout in TABLES else 3
    found = write_samples(layout, tmp_path / "data", count)
    _take_hints(layout, tmp_path / "data", found)
    made = prepared(tmp_path / "data", tmp_path / "cache", HINT_MAKERS["canny"])
    assert [item.hint for item in made.found.items] == [None] * count
    for index in range(count):
        hint = made.batch([Visit(index, "a", 0)], [False]).hints
        edges = find_edges(made._picture(index))
        assert torch.equal(hint, edges)
        assert torch.equal(made.batch([Visit(index, "a", 0)], [True]).hints, edges.flip(-1))


def _take_hints(layout: str, folder: Path, found: list[Sample]) -> None:
    """Writes the same samples again without hints."""
    if layout in TABLES:
        import pyarrow
        import pyarrow.parquet

        for file in folder.rglob("*.parquet"):
            if file.name.startswith("train"):
                table = pyarrow.parquet.read_table(file)
                pyarrow.parquet.write_table(table.drop_columns("conditioning_image"), file)
        for file in folder.rglob("*.arrow"):
            table = pyarrow.ipc.open_stream(file.read_bytes()).read_all()
            table = table.drop_columns("conditioning_image")
            with pyarrow.ipc.new_stream(str(file), table.schema) as stream:
                stream.write_table(table)
    elif layout == "tars":
        for file in folder.glob("*.tar"):
            filter_tar(file, lambda name: ".conditioning." not in name)
    elif layout == "pairs":
        for sample in found:
            (folder / sample.hint_name).unlink()
    else:
        (name,) = [f for f in folder.iterdir() if f.name in LAYOUTS]
        name.write_bytes(name.read_bytes().replace(b"conditioning_image", b"unused"))


def test_a_hint_maker_of_ones_own_is_kept_in_eight_bits(tmp_path: Path) -> None:
    write_samples("train.jsonl", tmp_path / "data", 2)
    _take_hints("train.jsonl", tmp_path / "data", [])
    gray = HintMaker("gray", lambda picture: picture.mean(1, keepdim=True))
    ready = prepared(tmp_path / "data", tmp_path / "cache", gray)
    hint = ready.batch([Visit(0, "a", 0)], [False]).hints
    mean = ready._picture(0).mean(1, keepdim=True)
    image = Image.fromarray((mean[0, 0] * 255).round().to(torch.uint8).numpy())
    assert torch.equal(hint, tensor_of(image))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda picture: picture[..., ::2],
            r"returned the shape \(1, 3, .*must return \(1, 1, 32, 32\)",
        ),
        (lambda picture: picture * 2 + 0.1, r"returned values from .*; hints are within 0\.\.1"),
        (lambda picture: picture * torch.nan, "returned values from nan"),
    ],
    ids=["shape", "range", "nan"],
)
def test_what_a_hint_maker_returns_is_checked(
    tmp_path: Path, make: Callable[[torch.Tensor], torch.Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HintMaker("mine", make).hint(torch.rand(1, 3, 32, 32))
