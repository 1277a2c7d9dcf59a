"""A small run that is killed at random moments, and continues from its folder.

`python tests/support/killed_run.py FOLDER --kills 10` kills it ten times and compares the weights with those of a run
that was left alone.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from training_models import source

from cnet_core import ControlNet
from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.training import Reading, Trainer, TrainingSettings
from cnet_core.training.folder import CONFIG, RESULT, RunFolder
from cnet_core.training.loop import Intervals, fit
from cnet_core.training.trainer import State

SETTINGS = TrainingSettings(batch_size=2, learning_rate=1e-3, warmup=4, ema=0.9, flip=True)


class FolderEvents:
    """Keeps everything in the folder, and says every step on stdout."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def on_step(self, step: int) -> None:
        print(step, flush=True)  # noqa: T201

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self.folder.write({"step": step, "loss": loss})

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self.folder.write({"step": reading.step, "reading": reading.to_dict()})

    def save(self, state: State, result: ControlNet) -> None:
        self.folder.save(state, result)


def go_on(path: Path, steps: int) -> None:
    """Starts or continues the run of a folder, up to `steps`."""
    folder = RunFolder(path)
    if not (path / CONFIG).exists():
        folder.begin({})
    place = source()
    trainer = Trainer(place.base, place.samples, SETTINGS)
    state = folder.state()
    if state is not None:
        trainer.restore(state)
    folder.forget_after(trainer.step)
    meter, readings = place.meter(SETTINGS), folder.readings(trainer.step)
    fit(
        trainer, meter, steps, FolderEvents(folder), intervals=Intervals(1, 5, 1), readings=readings
    )


def kill_and_resume(path: Path, steps: int, kills: int, seed: int = 0) -> None:
    """Runs in processes that are killed at random moments, `kills` times, then to the end."""
    moments = random.Random(seed)
    for _ in range(kills):
        process = _start(path, steps)
        assert process.stdout is not None
        first = process.stdout.readline()  # models are built; the run continues at this step
        time.sleep(moments.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            raise AssertionError(f"the run ended before it was killed (it began at {first!r})")
    go_on(path, steps)


def _start(path: Path, steps: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, __file__, str(path), "--steps", str(steps)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def main() -> int:
    """Runs or resumes once, or with `--kills` compares a killed run with one left alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kills", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if not args.kills:
        go_on(args.folder, args.steps)
        return 0
    kill_and_resume(args.folder / "killed", args.steps, args.kills)
    go_on(args.folder / "whole", args.steps)
    whole, killed = (read_tensors(args.folder / name / RESULT)[0] for name in ("whole", "killed"))
    equal = all(torch.equal(killed[key], value) for key, value in whole.items())
    print(f"killed {args.kills} times: {'the same' if equal else 'OTHER'} weights")  # noqa: T201
    return not equal


if __name__ == "__main__":
    sys.exit(main())
