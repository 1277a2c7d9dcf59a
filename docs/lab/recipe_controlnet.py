"""Trains the tiny ControlNet on a locked tiny UNet: `python docs/lab/recipe_controlnet.py --unet FILE …`.

At 64 px first, where a step costs a quarter and "sudden convergence" can be watched, then at 128 px. The trainer is
the one of `cnet train`; only where the base comes from differs.
"""

import argparse
from pathlib import Path

from recipe import load_autoencoder
from recipe_unet import TextToNoise

from cnet_core.checkpoints import load_controlnet
from cnet_core.checkpoints.container.files import read_tensors
from cnet_core.nets.controlnet import ControlNet
from cnet_core.tiny.training import TinyBase, source_of
from cnet_core.training.folder import RunFolder
from cnet_core.training.loop import Intervals, fit
from cnet_core.training.meter import Reading
from cnet_core.training.objective import Objective
from cnet_core.training.settings import TrainingSettings
from cnet_core.training.trainer import State, Trainer

#: size -> (steps, batch, learning rate)
STAGES = {64: (450, 32, 1e-3), 128: (420, 24, 1e-3)}
INTERVALS = Intervals(log=10, read=50, save=50)


def main() -> None:
    """Trains the stage asked for; the result is `control_net.safetensors` in the folder `SIZE` of `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--unet", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="ControlNet of the stage before")
    parser.add_argument("--size", type=int, choices=STAGES, required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    planned, batch, rate = STAGES[args.size]
    settings = TrainingSettings(batch_size=batch, learning_rate=rate, beta2=0.99, ema=0.998, seed=3)
    source = source_of(_base(args.unet, args.text, args.autoencoder), args.size)
    start = load_controlnet(args.start) if args.start else None
    trainer = Trainer(source.base, source.samples, settings, net=start)
    folder = RunFolder(args.out / str(args.size))
    folder.begin({"size": args.size, "settings": settings.to_dict()})
    steps = args.steps or planned
    fit(trainer, source.meter(settings), steps, _FolderEvents(folder), intervals=INTERVALS)


class _FolderEvents:
    """Everything goes to the folder, the readings to the terminal too."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_step(self, step: int) -> None:
        pass

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self._folder.write({"step": step, "loss": loss})

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self._folder.write({"step": reading.step, "reading": reading.to_dict()})
        print(f"step {reading.step}: loss {reading.loss:.4f}, gap {reading.gap:.2%}", flush=True)

    def save(self, state: State, result: ControlNet) -> None:
        self._folder.save(state, result)


def _base(unet: Path, text: Path, autoencoder: Path) -> TinyBase:
    model = TextToNoise()
    model.unet.load_state_dict(read_tensors(unet)[0])
    model.text.load_state_dict(read_tensors(text)[0])
    model.train(False).requires_grad_(False)
    return TinyBase(model.unet, model.text, load_autoencoder(autoencoder), Objective())


if __name__ == "__main__":
    main()
