"""`cnet train` on a real base with data of every origin: made hints, validation of its own, a given ControlNet."""

import json
import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from fakes import randomise_
from odd_pictures import LAYOUTS, samples
from PIL import Image, ImageDraw
from pretrained_models import sd15

import cnet_core as cn
from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.checkpoints.unet import load_unet
from cnet_core.cli import main
from cnet_core.cli import train as cli_train
from cnet_core.training import folder_source
from cnet_core.training.folder import RESULT
from cnet_core.training.processes import SingleProcess

NUMBERS = ["--size", "32", "--batch-size", "2", "--device", "cpu", "--learning-rate", "0.001"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, a ControlNet for it, and data in two layouts, one of them without hints."""
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    place = tmp_path_factory.mktemp("origins")
    sd15(place / "base")
    unet = load_unet(place / "base")
    cn.save_controlnet(
        randomise_(cn.ControlNet.from_unet(unet), 5, 0.02), place / "net.safetensors"
    )
    LAYOUTS["pairs"][0](place / "pairs", samples(("\u2028",), 8))
    shutil.rmtree(place / "pairs" / "conditioning")
    LAYOUTS["metadata.csv"][0](place / "csv", samples(("\n",), 3))
    return place


@pytest.fixture(autouse=True)
def _quick_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_source, "STEPS", 1)


def train(place: Path, out: Path, *options: str) -> int:
    return main(["train", "--base", str(place / "base"), "--out", str(out), *NUMBERS, *options])


def test_a_run_with_made_hints_from_a_given_net_goes_on_where_these_have_moved(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, out = shutil.copytree(begun, tmp_path / "place"), tmp_path / "out"
    net = ["--controlnet", str(place / "net.safetensors")]
    data = ["--data", str(place / "pairs"), "--validation", str(place / "csv"), "--hint", "canny"]
    assert train(place, out, *net, *data, "--max-samples", "6", "--steps", "1") == 0
    said = capsys.readouterr().err
    assert "6 of 6 hints in" in said
    assert "0 of 3 hints in" in said
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["reading"]["effect"] > 0  # at step 0
    (place / "net.safetensors").rename(place / "moved.safetensors")
    resumed = ["train", "--resume", "--out", str(out), "--steps", "2", "--device", "cpu"]
    assert main(resumed) == 1
    assert "with `--controlnet`" in capsys.readouterr().err
    assert main([*resumed, "--controlnet", str(place / "moved.safetensors")]) == 0
    whole = tmp_path / "whole"
    net = ["--controlnet", str(place / "moved.safetensors")]
    assert train(place, whole, *net, *data, "--max-samples", "6", "--steps", "2") == 0
    a, b = (read_tensors(folder / RESULT)[0] for folder in (out, whole))
    assert all(a[key].equal(b[key]) for key in a)
    capsys.readouterr()
    cn.save_controlnet(
        cn.ControlNet.from_unet(load_unet(place / "base")), place / "other.safetensors"
    )
    other = ["--controlnet", str(place / "other.safetensors")]
    assert main([*resumed, *other]) == 1
    assert "The ControlNet is not the one" in capsys.readouterr().err
    assert main([*resumed, *other, "--hint", "canny", "--max-samples", "5"]) == 1
    assert "`--max-samples` is 5, but the run in" in capsys.readouterr().err


def test_fewer_samples_than_can_be_parted_are_all_trained_on(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(begun / "csv"), "--max-samples", "1"]
    assert train(begun, tmp_path, *data, "--steps", "1") == 0
    found = capsys.readouterr()
    assert "has 1 of the 4 samples that it takes to hold some out" in found.err
    assert "whether it follows its hint cannot be measured" in found.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "csv", "--hint", "canny"], "every sample of .* has a hint; omit `--hint`"),
        (["--data", "pairs"], "has no text named 'conditioning_image'"),
        (["--data", "csv", "--max-samples", "0"], "`--max-samples` is 0; it must be at least 1"),
        (["--data", "csv", "--validation", "no"], "`--validation` is .*, which is not a folder"),
        (["--data", "csv", "--controlnet", "no"], "There is no file"),
        (["--tiny", "--hint", "canny"], "`--tiny` has its own .*omit `--base`, `--hint`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_origins_that_make_no_sense_are_one_sentence(
    begun: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(begun)
    assert train(begun, tmp_path / "out", *options) == 1
    said = capsys.readouterr().err.splitlines()
    assert re.search(message, said[-1])
    assert not (tmp_path / "out" / "config.json").exists()


def discs(folder: Path) -> Path:
    """Pictures of one bright disc each, with captions and without hints."""
    folder.mkdir()
    for index in range(4):
        picture = Image.new("RGB", (64, 64), (30, 40, 50))
        ImageDraw.Draw(picture).ellipse((8, 8, 40 + index, 40 + index), fill=(220, 210, 90))
        picture.save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text("a disc")
    return folder


def test_a_lora_of_a_given_net_merges_into_it_and_its_edge_hints_are_measured(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, out = begun / "net.safetensors", tmp_path / "out"
    data = ["--data", str(discs(tmp_path / "discs")), "--hint", "canny", "--size", "64"]
    options = ["--controlnet", str(net), "--lora-rank", "4", "--steps", "2"]
    assert train(begun, out, *data, *options) == 0
    said = capsys.readouterr()
    assert "not edges" not in said.err
    assert "better than no hint" in said.out
    assert f"cnet merge {net} {out / RESULT} OUT.safetensors" in said.out
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    (shown,) = [row for row in rows if "edge_match" in row]
    assert 0 <= shown["edge_match"] <= 1
    assert (out / "adherence.png").is_file()
    assert main(["identify", str(out / RESULT)]) == 1
    assert "a LoRA of a ControlNet" in capsys.readouterr().out
    assert main(["merge", str(net), str(out / RESULT), str(tmp_path / "merged.safetensors")]) == 0
    before, after = (
        cn.load_controlnet(path).state_dict() for path in (net, tmp_path / "merged.safetensors")
    )
    assert any(not value.equal(before[name]) for name, value in after.items())


def test_hints_of_other_kinds_are_not_measured_and_the_log_says_so_once(
    begun: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a resumed run nor another process repeats what the log says of the data."""
    data = ["--data", str(begun / "csv")]
    assert train(begun, tmp_path / "out", *data, "--steps", "1") == 0
    assert "The hints are not edges" in capsys.readouterr().err
    assert "edge_match" not in (tmp_path / "out" / "metrics.jsonl").read_text()
    resumed = ["train", "--resume", "--out", str(tmp_path / "out"), "--steps", "2"]
    assert main([*resumed, "--device", "cpu"]) == 0
    assert "The hints are" not in capsys.readouterr().err
    second = SingleProcess("cpu")
    second.index = 1
    monkeypatch.setattr(cli_train, "_processes", lambda device: second)
    assert train(begun, tmp_path / "second", *data, "--steps", "1") == 0
    assert capsys.readouterr().err == ""
