"""`cnet train --tiny`: its files, going on, Ctrl-C, and what it refuses."""

import json
import os
import signal
from pathlib import Path
from typing import get_args

import pytest
import torch

import cnet_core as cn
from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.cli import main
from cnet_core.cli.train_events import TerminalEvents
from cnet_core.training.settings import Precision

SETTINGS = ["--tiny", "--size", "32", "--batch-size", "2", "--save-every", "2", "--log-every", "1"]
#: Sums on a GPU may come out otherwise from run to run.
QUICK = [*SETTINGS, "--device", "cpu"]
#: oneDNN gives NaN as the bf16 weight gradient of a strided convolution over one pixel, the deepest of 32 px.
BF16_SIZE = "64"


@pytest.fixture(autouse=True)
def _cheap_previews(monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews of three steps would take longer than the rest."""
    from cnet_core.tiny import training

    monkeypatch.setattr(training, "HELD_OUT", 4)
    monkeypatch.setattr(training.Adherence.__init__, "__defaults__", (2, 1))


def run(out: Path, *options: str) -> int:
    return main(["train", "--out", str(out), *options])


@pytest.mark.parametrize("precision", get_args(Precision))
def test_it_writes_a_run_and_goes_on_to_the_same_weights(
    tmp_path: Path, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    size = BF16_SIZE if precision == "bf16" else "32"
    every, steps = (2, 3) if precision == "fp32" else (1, 2)
    settings = [*QUICK, "--ema", "0.9", "--save-every", str(every), "--size", size]
    settings += ["--precision", precision]
    assert run(whole, *settings, "--steps", str(steps)) == 0
    assert run(parts, *settings, "--steps", str(steps - 1)) == 0
    assert run(parts, "--resume", "--steps", str(steps), "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert f"control_net.safetensors: {steps} steps; it does not follow its hint yet" in said
    files = {str(f.relative_to(whole)) for f in whole.rglob("*") if f.is_file()}
    assert {f for f in files if not f.startswith("tensorboard/")} == {
        "config.json",
        "control_net.safetensors",
        "metrics.jsonl",
        "loss.png",
        "convergence.png",
        "adherence.png",
        *(f"checkpoints/step_0000000{n}.safetensors" for n in (every, steps)),
        *(f"previews/step_0000000{n}.png" for n in (every, steps)),
    }
    a, b = (read_tensors(folder / "control_net.safetensors")[0] for folder in (whole, parts))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert cn.load_controlnet(whole / "control_net.safetensors").config.model_channels == 64
    a, b = (
        read_tensors(f / "checkpoints" / f"step_0000000{steps}.safetensors") for f in (whole, parts)
    )
    assert all(torch.equal(a[0][key], b[0][key]) for key in a[0])
    assert a[1] == b[1]  # the step, and fp16's loss scale
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [*range(1, steps + 1)]
    assert [row["step"] for row in rows if "adherence" in row] == [every, steps]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_it_trains_on_a_gpu(tmp_path: Path, precision: str) -> None:
    there = ["--device", "cuda"]
    assert run(tmp_path, *SETTINGS, *there, "--steps", "3", "--precision", precision) == 0
    assert run(tmp_path, "--resume", *there, "--steps", "4") == 0
    net = cn.load_controlnet(tmp_path / "control_net.safetensors")
    assert any(p.any() for p in net.zero_convs.parameters())


def test_tensorboard_shows_what_the_metrics_say(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert run(tmp_path, *QUICK, "--steps", "2") == 0
    shown = events.EventAccumulator(str(tmp_path / "tensorboard"))
    shown.Reload()
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = {row["step"]: row["loss"] for row in rows if "loss" in row}
    assert {e.step: e.value for e in shown.Scalars("loss")} == pytest.approx(losses)
    assert {"rate", "reading/gap", "adherence"} <= set(shown.Tags()["scalars"])


def test_ctrl_c_saves_and_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stepped = TerminalEvents.on_step

    def interrupt(told: TerminalEvents, step: int) -> None:
        stepped(told, step)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TerminalEvents, "on_step", interrupt)
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    assert run(tmp_path, *QUICK, "--steps", "9") == 0
    assert "1 steps, interrupted; --resume continues" in capsys.readouterr().out
    assert (tmp_path / "checkpoints" / "step_00000001.safetensors").is_file()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tiny", "--steps", "0"], "`--steps` is 0"),
        (["--tiny", "--learning-rate", "-1"], "`learning_rate` is -1.0; it must be above 0"),
        (["--tiny", "--prompt-dropout", "2"], "`prompt_dropout` is 2.0; it must be within 0..1"),
        (
            ["--tiny", "--schedule", "spiral"],
            "`schedule` is spiral; it must be 'constant' or 'cosine'",
        ),
        (["--tiny", "--optimizer", "adafactor", "--beta2", "0.99"], "'adafactor' has no betas"),
        (["--tiny", "--decay-steps", "9"], "'constant' does not decay; omit it"),
        (
            ["--tiny", "--schedule", "linear", "--steps", "99", "--decay-steps", "98"],
            "`--decay-steps` is 98, but the run takes 99 steps",
        ),
        (
            ["--tiny", "--schedule", "cosine", "--steps", "50"],
            "`decay_steps` is 50; it must be above `warmup`, which is 50",
        ),
        (["--tiny", "--size", "60"], "`--size` is 60; it must be a multiple of 8"),
        (["--tiny", "--data", "x"], "`--tiny` has its own"),
        (["--steps", "3"], "Give a base model with `--base`"),
        (["--tiny", "--read-every", "0"], "interval `read` is 0"),
        (["--resume"], "holds no run to resume"),
        (["--tiny", "--device", "toaster"], "toaster"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "out", *options) == 1
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_log_names_the_default_rate_of_adafactor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--optimizer", "adafactor", "--base", "nowhere", "--data", "nowhere"]
    assert run(tmp_path / "out", *options, "--device", "cpu") == 1
    assert "The learning rate is 0.001, the default of adafactor." in capsys.readouterr().err
    assert run(tmp_path / "out", *options, "--learning-rate", "0.01", "--device", "cpu") == 1
    assert "The learning rate" not in capsys.readouterr().err


def test_a_folder_that_is_taken_is_told_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert run(tmp_path, "--base", "nowhere", "--data", "nowhere") == 1
    assert "already holds a run" in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, *QUICK, "--steps", "1") == 0
    assert run(tmp_path, "--resume", "--weight-decay", "0.1") == 1
    assert "`--weight-decay` is 0.1, but the run in" in capsys.readouterr().err
    assert run(tmp_path, *QUICK) == 1
    assert "already holds a run" in capsys.readouterr().err


def test_a_resumed_run_may_have_another_rate_and_more_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What changed is noted at its step; a decay ends at the new last step."""
    decay = ["--schedule", "linear", "--warmup", "0", "--learning-rate", "0.001"]
    assert run(tmp_path, *QUICK, *decay, "--steps", "2") == 0
    more = ["--resume", "--steps", "4", "--learning-rate", "0.002", "--device", "cpu"]
    assert run(tmp_path, *more, "--log-every", "1") == 0
    said = capsys.readouterr().err
    assert "From step 2 on, `learning_rate` is 0.002 instead of 0.001." in said
    assert "From step 2 on, `decay_steps` is 4 instead of 2." in said
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    expected = [0.001, 0.0005, 0.001, 0.0005]
    assert [row["rate"] for row in rows if "rate" in row] == pytest.approx(expected)
    (changed,) = [row for row in rows if "changed" in row]
    assert changed["step"] == 2
    assert changed["changed"]["steps"] == [2, 4]
    assert run(tmp_path, "--resume", "--schedule", "constant", "--device", "cpu") == 0
    config = json.loads((tmp_path / "config.json").read_text())["settings"]
    assert (config["schedule"], config["decay_steps"]) == ("constant", None)
