"""fit: what is told when, how runs end, and the folder that a run can be resumed from after any end."""

import resource
from pathlib import Path

import killed_run
import pytest
import torch
from training_models import NoiseSamples, source, trainer

from cnet_core import ControlNet
from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.training import Reading, Trainer
from cnet_core.training.folder import METRICS, RESULT, RunFolder
from cnet_core.training.loop import DivergenceError, Intervals, Outcome, fit
from cnet_core.training.trainer import State

STEPS, KILLS = 6, 2


class Log:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[tuple[int, float]] = []
        self.readings: list[Reading] = []
        self.saves: list[int] = []

    def on_step(self, step: int) -> None:
        self.steps.append(step)

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self.losses.append((step, loss))

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self.readings.append(reading)

    def save(self, state: State, result: ControlNet) -> None:
        self.saves.append(state.step)


def run(steps: int, log: Log, **options: object) -> tuple[Outcome, Trainer]:
    made = trainer()
    meter = source().meter(made.settings)
    return fit(made, meter, steps, log, intervals=Intervals(2, 3, 4), **options), made


def test_everything_happens_at_its_interval_and_at_the_end() -> None:
    log = Log()
    outcome, _ = run(5, log)
    assert outcome == Outcome(5, "finished", None)
    assert log.steps == [1, 2, 3, 4, 5]
    assert [step for step, _ in log.losses] == [2, 4, 5]
    assert [r.step for r in log.readings] == [0, 3, 5]
    assert log.saves == [4, 5]


def test_a_stop_saves_what_was_learned() -> None:
    log = Log()
    outcome, _ = run(9, log, stop=lambda: len(log.steps) == 3)
    assert (outcome.reason, log.saves) == ("interrupted", [3])


def test_convergence_can_stop_the_run() -> None:
    log = Log()
    seen = [Reading(1, 0.1, 0.2, 1e-6, 0.1, (1.0,)), Reading(2, 0.1, 0.2, 1e-6, 0.1, (1.0,))]
    outcome, _ = run(99, log, readings=seen, stop_at_convergence=True)
    assert outcome == Outcome(3, "converged", 1)
    assert log.saves == [3]


def test_a_loss_that_is_no_number_ends_the_run_unsaved() -> None:
    log, made = Log(), trainer(NoiseSamples(bad=True))
    with pytest.raises(DivergenceError, match=r"became nan between steps 0 and 2.*learning_rate"):
        fit(made, source().meter(made.settings), 9, log, intervals=Intervals(2, 50, 2))
    assert log.saves == []


def test_weights_that_are_no_numbers_are_not_saved_although_the_loss_still_is_one() -> None:
    made = trainer()

    class Poison(Log):
        @torch.no_grad()
        def on_step(self, step: int) -> None:
            made.net.zero_convs[0][0].bias.fill_(torch.nan if step == 4 else 0)

    log = Poison()
    with pytest.raises(DivergenceError, match="by step 4; the last save is from step 2"):
        fit(made, source().meter(made.settings), 9, log, intervals=Intervals(1, 50, 2))
    assert log.saves == [2]


def test_a_net_that_changes_something_at_the_start_is_a_defect() -> None:
    made = trainer()
    meter = source().meter(made.settings)
    meter._without = meter._without + 1
    with pytest.raises(RuntimeError, match="zero convs at 0"):
        fit(made, meter, 1, Log())


def test_a_line_cut_off_and_lines_of_lost_steps_are_forgotten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin({})
    made = trainer()
    made.advance()
    folder.write({"step": 1, "loss": 0.5})
    folder.save(made.state(), made.result)
    folder.write({"step": 2, "loss": 0.4})
    with (folder.path / METRICS).open("a") as file:
        file.write('{"step": 3, "lo')
    state = folder.state()
    assert state is not None
    assert state.step == 1
    folder.forget_after(state.step)
    assert folder.rows() == [{"step": 1, "loss": 0.5}]


def test_a_folder_is_not_begun_twice(tmp_path: Path) -> None:
    RunFolder(tmp_path).begin({})
    with pytest.raises(ValueError, match="already holds a run"):
        RunFolder(tmp_path).begin({})
    with pytest.raises(ValueError, match="holds no run to resume"):
        RunFolder(tmp_path / "elsewhere").config()


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    folder, made = RunFolder(tmp_path), trainer()
    for _ in range(3):
        made.advance()
        folder.save(made.state(), made.result)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for place in ("whole", "cut"):
        killed_run.go_on(tmp_path / place, 2)
    newest = tmp_path / "cut" / "checkpoints" / "step_00000002.safetensors"
    newest.write_bytes(newest.read_bytes()[:-100])
    state = RunFolder(tmp_path / "cut").state()
    assert state is not None
    assert state.step == 1
    assert "does not continue from its checkpoint" in caplog.text
    RunFolder(tmp_path / "cut").forget_after(1)
    assert not newest.exists()
    killed_run.go_on(tmp_path / "cut", 2)
    whole, cut = (read_tensors(tmp_path / name / RESULT)[0] for name in ("whole", "cut"))
    assert all(torch.equal(cut[key], value) for key, value in whole.items())
    for file in newest.parent.iterdir():
        file.write_bytes(b"")
    with pytest.raises(ValueError, match="holds no complete checkpoint"):
        RunFolder(tmp_path / "cut").state()


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    killed_run.go_on(tmp_path, 2)
    files = {f: f.read_bytes() for f in (tmp_path / "checkpoints").iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large; the earlier save is kept"):
            killed_run.go_on(tmp_path, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {f: f.read_bytes() for f in (tmp_path / "checkpoints").iterdir()} == files


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """KILLS is 2 here; `python tests/support/killed_run.py FOLDER --kills 10` does it ten times."""
    killed_run.kill_and_resume(tmp_path / "killed", STEPS, kills=KILLS)
    killed_run.go_on(tmp_path / "whole", STEPS)
    whole, killed = (read_tensors(tmp_path / name / RESULT)[0] for name in ("whole", "killed"))
    assert all(torch.equal(killed[key], value) for key, value in whole.items())
