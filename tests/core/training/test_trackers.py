"""Trackers: names and numbers are passed to accelerate, and what is missing is named."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnet_core.cli import main
from cnet_core.cli.train_events import TerminalEvents
from cnet_core.training import trackers
from cnet_core.training.trackers import Trackers


class LoggerType(Enum):
    """accelerate's names of trackers."""

    ALL = "all"
    WANDB = "wandb"
    MLFLOW = "mlflow"


class Accelerator:
    """Stands for accelerate's, in which only wandb is installed; notes what it gets."""

    notes: list[Any]

    def __init__(self, *, mixed_precision: str, log_with: list[str], project_dir: str) -> None:
        self.log_with = [
            kind for kind in LoggerType if kind.value in log_with and kind.value == "wandb"
        ]
        self.trackers = [SimpleNamespace(finish=lambda: self.notes.append("finish"))]

    def init_trackers(self, project: str, config: Mapping[str, Any]) -> None:
        self.notes.append((project, dict(config)))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.notes.append((step, dict(values)))


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    Accelerator.notes = []
    fake = SimpleNamespace(Accelerator=Accelerator, utils=SimpleNamespace(LoggerType=LoggerType))
    monkeypatch.setattr(trackers, "import_module", lambda name: fake)
    return Accelerator.notes


def test_a_tracker_gets_the_config_and_every_number(tmp_path: Path, notes: list[Any]) -> None:
    config = {"steps": 5, "base": None, "settings": {"learning_rate": 0.1, "min_snr": None}}
    board = Trackers(["wandb"], tmp_path)
    board.begin(config)
    board.write({"step": 2, "loss": 0.5, "reading": {"step": 2, "gap": 0.25, "zero_convs": [1.0]}})
    board.close()
    assert notes == [
        ("cnet", {"steps": 5, "learning_rate": 0.1}),
        (2, {"loss": 0.5, "reading/gap": 0.25}),
        "finish",
    ]


def test_an_error_of_a_tracker_is_named_once_and_raises_nothing(
    tmp_path: Path, notes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Accelerator, values: Mapping[str, float], step: int) -> None:
        raise ConnectionError("no network")

    told: list[str] = []
    board = Trackers(["wandb"], tmp_path, told.append)
    board.begin({})
    monkeypatch.setattr(Accelerator, "log", fail)
    board.write({"step": 1, "loss": 0.5})
    board.write({"step": 2, "loss": 0.5})
    board.close()
    assert len(told) == 1
    assert "ConnectionError: no network" in told[0]
    assert notes[-1] == "finish"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("abacus", "`--tracker` is 'abacus'; accelerate knows mlflow, wandb"),
        ("mlflow", "`--tracker` is 'mlflow', whose library is not installed"),
    ],
)
def test_a_tracker_that_cannot_be_used_is_named(
    tmp_path: Path, notes: list[Any], name: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Trackers([name], tmp_path)


def test_a_missing_accelerate_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(trackers, "import_module", missing)
    with pytest.raises(ValueError, match=r"needs accelerate: pip install 'cnet-nodes\[train\]'"):
        Trackers(["wandb"], tmp_path)


class FileTracker:
    """A tracker of accelerate's own kind that writes a JSON line per call; it stands where wandb's does."""

    name, requires_logging_directory, main_process_only = "wandb", True, True

    def __init__(self, project: str, folder: str, **kwargs: Any) -> None:
        self.tracker = Path(folder) / f"{project}.jsonl"

    def start(self) -> None:
        self.tracker.parent.mkdir(parents=True, exist_ok=True)

    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        self._add({"config": dict(values)})

    def log(self, values: Mapping[str, Any], step: int | None = None, **kwargs: Any) -> None:
        self._add({**values, "step": step})

    def finish(self) -> None:
        self._add({"finished": True})

    def _add(self, row: Mapping[str, Any]) -> None:
        with self.tracker.open("a") as file:
            file.write(json.dumps(row) + "\n")


@pytest.fixture
def real_accelerate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """accelerate with FileTracker as its only tracker."""
    tracking = pytest.importorskip("accelerate.tracking")
    monkeypatch.setattr(tracking, "_available_trackers", [tracking.LoggerType.WANDB])
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", FileTracker)
    yield
    import_module("accelerate.state").AcceleratorState._reset_state(True)


TINY = ["--tiny", "--size", "32", "--batch-size", "1", "--log-every", "1", "--device", "cpu"]


@pytest.fixture
def cheap_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnet_core.tiny import training

    monkeypatch.setattr(training, "HELD_OUT", 2)
    monkeypatch.setattr(training.Adherence.__init__, "__defaults__", (1, 1))


@pytest.mark.usefixtures("real_accelerate", "cheap_previews")
def test_a_run_sends_its_figures_through_the_real_accelerate(tmp_path: Path) -> None:
    words = ["train", *TINY, "--out", str(tmp_path), "--steps", "2", "--tracker", "wandb"]
    assert main(words) == 0
    first, *rows, last = read_rows(tmp_path / "cnet.jsonl")
    assert (first["config"]["size"], first["config"]["batch_size"]) == (32, 1)
    kept = read_rows(tmp_path / "metrics.jsonl")
    assert [(row["step"], row.get("loss")) for row in rows] == [
        (row["step"], row.get("loss")) for row in kept
    ]
    assert last == {"finished": True}


@pytest.mark.usefixtures("real_accelerate", "cheap_previews")
def test_trackers_are_closed_when_a_run_fails_and_their_errors_lose_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: FileTracker, values: Mapping[str, Any], **kwargs: Any) -> None:
        raise ConnectionError("no network")

    def stop(self: TerminalEvents, state: Any, result: Any) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr(FileTracker, "log", fail)
    words = ["train", *TINY, "--out", str(tmp_path), "--tracker", "wandb", "--steps"]
    assert main([*words, "1"]) == 0
    said = capsys.readouterr().err
    assert said.count("no network") == 1
    assert (tmp_path / "checkpoints" / "step_00000001.safetensors").is_file()
    (tmp_path / "cnet.jsonl").unlink()
    monkeypatch.setattr(TerminalEvents, "save", stop)
    resumed = ["train", "--resume", "--out", str(tmp_path), "--tracker", "wandb", "--steps", "2"]
    assert main([*resumed, "--device", "cpu"]) == 1
    assert read_rows(tmp_path / "cnet.jsonl")[-1] == {"finished": True}


def read_rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
