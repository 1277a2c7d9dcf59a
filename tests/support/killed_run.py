"""A small run that goes on from whatever its folder holds: `killed_run.py FOLDER --steps N`. It says every step."""

import argparse
import resource
import sys
from pathlib import Path

import torch
from training_models import source

from cnet_core.training import Reading, Trainer, TrainingSettings
from cnet_core.training.folder import RunFolder
from cnet_core.training.loop import Intervals, fit


class Told:
    """Writes every step to stdout, and saves."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def stepped(self, step: int) -> None:
        print(step, flush=True)  # noqa: T201

    def logged(self, step: int, loss: float, rate: float) -> None:
        self.folder.write({"step": step, "loss": loss})

    def read(self, reading: Reading, converged_at: int | None) -> None:
        self.folder.write({"step": reading.step, "reading": reading.to_dict()})

    def save(self, trainer: Trainer) -> None:
        self.folder.save(trainer)


def main() -> None:
    """Runs or resumes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--largest-file", type=int, help="as if the disk were full")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (args.largest_file, args.largest_file))
    folder = RunFolder(args.folder)
    if not (args.folder / "config.json").exists():
        folder.begin({})
    settings = TrainingSettings(batch_size=2, learning_rate=1e-3, warmup=4, ema=0.9, flip=True)
    place = source()
    trainer = Trainer(place.base, place.samples, settings)
    state = folder.state()
    if state is not None:
        trainer.restore(state)
    meter = place.meter(settings)
    readings = folder.readings()
    fit(
        trainer,
        meter,
        args.steps,
        Told(folder),
        intervals=Intervals(1, 5, 2),
        readings=readings,
    )


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"OSError: {error.strerror}")
