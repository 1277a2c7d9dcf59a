"""Trackers: names and numbers are passed to accelerate, and what is missing is named."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

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
