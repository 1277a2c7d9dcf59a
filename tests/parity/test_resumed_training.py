"""`cnet train --resume` on a real base: paths spelled otherwise, base and data that moved, data that changed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from fakes import randomise_
from picture_folders import pictures
from PIL import Image
from pretrained_models import sd15

from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.checkpoints.unet import load_unet
from cnet_core.cli import main
from cnet_core.training import folder_source
from cnet_core.training.folder import METRICS, RESULT


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, data and a run of one step, started inside it with paths as users type them."""
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    place = tmp_path_factory.mktemp("begun")
    sd15(place / "base")
    pictures(place / "data", "prompt.json")
    before = Path.cwd()
    os.chdir(place)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folder_source, "STEPS", 1)
            assert main(["train", "--base", "base", "--data", "./data/", *NUMBERS]) == 0
    finally:
        os.chdir(before)
    return place


NUMBERS = [
    *("--out", "run", "--size", "32", "--batch-size", "2", "--steps", "1"),
    *("--learning-rate", "0.001", "--device", "cpu"),
]


@pytest.fixture
def place(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `begun` elsewhere; the run's config still names the first place."""
    monkeypatch.setattr(folder_source, "STEPS", 1)
    return shutil.copytree(begun, tmp_path / "copy")


def resume(run: Path, *options: str) -> int:
    return main(
        ["train", "--out", str(run), "--resume", "--steps", "2", "--device", "cpu", *options]
    )


def test_a_run_goes_on_from_another_folder_and_under_other_spellings(
    begun: Path, place: Path
) -> None:
    (place / "link").symlink_to(begun / "data")
    spelled = str(begun / "base" / ".." / "base")
    assert resume(place / "run", "--base", spelled, "--data", str(place / "link")) == 0


def test_moved_base_and_data_are_named_and_give_the_same_weights(
    begun: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stays = shutil.copytree(place / "run", place / "stays")
    assert resume(stays) == 0
    shutil.move(place / "base", place / "new_base")
    shutil.move(place / "data", place / "new_data")
    file = place / "run" / "config.json"
    config = json.loads(file.read_text())
    assert config["data"] == str(begun / "data")
    gone = {name: str(place / name) for name in ("base", "data")}
    file.write_text(json.dumps({**config, **gone}))
    assert resume(place / "run") == 1
    assert "give its new path with `--base`" in capsys.readouterr().err
    moved = ["--base", str(place / "new_base"), "--data", str(place / "new_data")]
    assert resume(place / "run", *moved) == 0
    assert json.loads(file.read_text())["data"] == str(place / "new_data")
    one, other = (read_tensors(run / RESULT)[0] for run in (stays, place / "run"))
    assert all(torch.equal(other[key], value) for key, value in one.items())


def replace_picture(data: Path) -> None:
    Image.new("RGB", (32, 32), (1, 2, 3)).save(data / "target" / "1.png")


def replace_hint(data: Path) -> None:
    Image.new("L", (32, 32), 77).save(data / "source" / "1.png")


def edit(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def changed(data: Path) -> None:
        lines = change((data / "prompt.json").read_text().splitlines(keepends=True))
        (data / "prompt.json").write_text("".join(lines))

    return changed


CHANGES = {
    "a picture": (replace_picture, "pictures changed: 1 (target/1.png)"),
    "a hint": (replace_hint, "hints changed: 1 (target/1.png)"),
    "a prompt": (
        edit(lambda lines: [line.replace("red", "blue", 1) for line in lines]),
        "prompts changed: 3 (target/0.png, target/2.png, target/4.png)",
    ),
    "a line removed": (edit(lambda lines: lines[1:]), "samples removed: 1 (target/0.png)"),
    "reordered": (edit(lambda lines: lines[::-1]), "the order changed"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_changed_data_is_refused_with_what_changed(
    place: Path,
    change: Callable[[Path], None],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(place / "data")
    files = {f: f.read_bytes() for f in (place / "run").rglob("*") if f.is_file()}
    assert resume(place / "run", "--data", str(place / "data")) == 1
    said = capsys.readouterr().err
    assert f"trained on: {message}. Restore the data" in said
    assert "--accept-changed-data" in said
    assert {f: f.read_bytes() for f in (place / "run").rglob("*") if f.is_file()} == files


def test_changed_data_is_accepted_when_asked_and_written_down(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_picture(place / "data")
    data = ["--data", str(place / "data")]
    assert resume(place / "run", *data, "--accept-changed-data") == 0
    assert "The run continues with the new data." in capsys.readouterr().err
    rows = [json.loads(line) for line in (place / "run" / METRICS).read_text().splitlines()]
    changed = [row for row in rows if "data_changed" in row]
    assert changed == [{"step": 1, "data_changed": ["pictures changed: 1 (target/1.png)"]}]
    assert resume(place / "run", *data) == 0  # it is this run's data now


def test_another_base_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from diffusers import UNet2DConditionModel

    folder = place / "base" / "unet"
    randomise_(UNet2DConditionModel.from_pretrained(folder), 9).save_pretrained(folder)
    load_unet(place / "base")
    assert resume(place / "run", "--base", str(place / "base"), "--accept-changed-data") == 1
    assert "the weights of its UNet differ" in capsys.readouterr().err


def test_accepting_changed_data_needs_a_run_to_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--tiny", "--out", str(tmp_path), "--accept-changed-data"]) == 1
    assert "needs `--resume`" in capsys.readouterr().err
