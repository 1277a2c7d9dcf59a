"""Running the embedded world's recipe: its options, failed stages, what comes back, the scripts for a GPU machine."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import base
import control
import pytest
import torch
import train
from arguments import parse
from assessment import Assessment, Figures
from evaluate import write_sheet
from fitting import WorldRun
from part_files import write_part
from torch import nn
from train import Lab

from cnet_core.tiny.autoencoder import Autoencoder

WORLD = Path(train.__file__).parent


def lab_in(folder: Path) -> Lab:
    run = WorldRun(folder, torch.device("cpu"))
    run.log(begun=True)
    return Lab(run, folder / "out", {}, {}, scenes=1, start=None, save_every=60.0)


def test_sheets_come_back(tmp_path: Path) -> None:
    write_sheet(tmp_path, "words", [torch.rand(2, 3, 16, 16)])
    lab_in(tmp_path).export()
    assert (tmp_path / "out" / "sheet_words.webp").is_file()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--device", "mps"], "'mps' is not a device to train on: give cpu or cuda"),
        (["--device", "gpu"], "'gpu' is not a device to train on"),
        (["--device", "cuda:99"], "'cuda:99' is not there: torch finds"),
        (["--minutes", "autoencoder"], "'autoencoder' is not STAGE=MINUTES, such as base=3"),
        (["--minutes", "base=1", "foo=3"], "'foo=3' is not STAGE=MINUTES"),
        (["--minutes", "base=nan"], "'base=nan' is not STAGE=MINUTES"),
        (["--shrink", "0"], "'0' is not a number above 0"),
        (["--batch", "x"], "'x' is not a whole number of at least 1"),
        (["--start", "nowhere"], "--start is nowhere, which is no folder"),
    ],
)
def test_options_that_cannot_be_used_are_refused_before_anything_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    sentence: str,
) -> None:
    assert sentence in refuse(tmp_path / "run", options, monkeypatch, capsys)


def test_training_without_muon_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    said = refuse(tmp_path / "run", [], monkeypatch, capsys)
    assert "training needs torch 2.9 or newer, which has Muon" in said


def refuse(
    folder: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Returns what `train.py` prints when it refuses these options; it must not have made the folder."""
    monkeypatch.setattr("sys.argv", ["train.py", "--folder", str(folder), *options])
    with pytest.raises(SystemExit) as caught:
        train.main()
    assert caught.value.code == 2
    assert not folder.exists()
    return capsys.readouterr().err


def test_minutes_and_batches_of_the_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim, "Muon", object, raising=False)  # nothing trains
    args = parse("", ["--folder", "x", "--minutes", "base=3", "--shrink", "2", "--batch", "5"])
    assert args.minutes == {"autoencoder": 30.0, "classifier": 10.0, "base": 1.5, "control": 60.0}
    assert args.sizes == {"base": base.Sizes(128, 5), "control": base.Sizes(128, 5)}


def test_a_failed_stage_stops_those_that_need_it_and_is_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {"autoencoder": Autoencoder(), "base": base.TextToNoise()}
    for name, net in older.items():
        write_part(tmp_path, name, net.state_dict())
    trained: list[str] = []
    monkeypatch.setattr(torch.optim, "Muon", object, raising=False)  # nothing trains

    def fail(*_: object) -> nn.Module:
        raise ArithmeticError("the loss is NaN")

    keep_settings(monkeypatch)
    monkeypatch.setattr(base, "train", fail)
    monkeypatch.setattr(control, "train", lambda *_: trained.append("control"))
    monkeypatch.setattr(Lab, "export", lambda self: None)
    stages = ["--stages", "base", "control"]
    monkeypatch.setattr("sys.argv", ["train.py", "--folder", str(tmp_path), *stages])
    with pytest.raises(SystemExit, match="failed: base, control"):
        train.main()
    assert trained == []
    assert "base is missing: its stage failed" in (tmp_path / "log.jsonl").read_text()


def keep_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has torch's settings, which `train.py` changes, as they were after the test."""
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda _: None)
    for name in ("benchmark", "allow_tf32"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))


def test_an_assessment_that_fails_in_parts_keeps_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lab_in(tmp_path)

    def measure(self: Assessment, parts: list[str]) -> Iterator[tuple[str, Figures]]:
        if parts == ["words"]:
            raise ArithmeticError("no picture is finite")
        yield parts[0], {"thing": 1.0}

    def load(self: Lab, name: str, empty: nn.Module) -> nn.Module | None:
        return None if name == "control_net" else empty

    monkeypatch.setattr(Assessment, "measure", measure)
    monkeypatch.setattr(Lab, "load_if_there", load)
    lab.run_stages(["assess"])
    assert lab.failed == ["assess"]
    assert "These parts of the assessment failed: words." in (tmp_path / "log.jsonl").read_text()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures == {"true_pictures": {"thing": 1.0}, "held_out_colours": {"thing": 1.0}}


def run_script(
    folder: Path, script: str, *words: str, programs: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a script of the recipe in a folder; `programs` is a folder of programs that it uses first."""
    path = f"{programs}:{os.environ['PATH']}" if programs else os.environ["PATH"]
    return subprocess.run(
        ["bash", str(WORLD / script), *words],
        cwd=folder,
        env={**os.environ, "PATH": path, "FOLDER": str(folder / "world")},
        capture_output=True,
        text=True,
    )


def test_a_bundle_replaces_only_a_bundle(tmp_path: Path) -> None:
    notes = tmp_path / "mine" / "lab" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.write_text("mine")
    refused = run_script(tmp_path, "bundle.sh", "mine")
    assert refused.returncode == 1
    assert "neither empty nor an earlier bundle" in refused.stderr
    assert [p.name for p in notes.parent.iterdir()] == ["notes.txt"]
    for _ in range(2):
        made = run_script(tmp_path, "bundle.sh", "bundle")
        assert made.returncode == 0, made.stderr
    assert (tmp_path / "bundle" / "lab" / "train.py").is_file()
    assert run_script(tmp_path, "bundle.sh").returncode == 2


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Returns a folder with a `python3` that writes the report that it should, and exits with 3."""
    python = tmp_path / "programs" / "python3"
    python.parent.mkdir()
    python.write_text('#!/bin/bash\nmkdir -p "$5" && echo new > "$5/report.json"\nexit 3\n')
    python.chmod(0o755)
    return python.parent


def test_a_rehearsal_leaves_results_alone(tmp_path: Path, programs: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("parts_small.safetensors", "report.json"):
        (out / name).write_text("trained")
    run = run_script(tmp_path, "go.sh", "rehearse", "out", programs=programs)
    assert run.returncode == 3
    assert {p.name: p.read_text().strip() for p in out.iterdir()} == {
        "parts_small.safetensors": "trained",
        "rehearsal.json": "new",
        "report.json": "trained",
    }


def test_the_exit_status_of_training_is_that_of_the_script(tmp_path: Path, programs: Path) -> None:
    run = run_script(tmp_path, "go.sh", "train", "out", programs=programs)
    assert run.returncode == 3
    assert (tmp_path / "out" / "report.json").read_text() == "new\n"


@pytest.mark.parametrize("words", [["practise", "out"], ["train"], []])
def test_a_wrong_command_prints_the_usage(tmp_path: Path, words: list[str]) -> None:
    run = run_script(tmp_path, "go.sh", *words)
    assert run.returncode == 2
    assert run.stderr.startswith("usage: go.sh rehearse|train OUT")
    assert list(tmp_path.iterdir()) == []
