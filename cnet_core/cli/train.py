"""`cnet train`: trains a ControlNet for a locked base model, on pictures with hints and prompts."""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from ..nets.controlnet import ControlNet
from ..tiny.sheet import to_image
from ..tiny.training import tiny_source
from ..training.board import Board
from ..training.folder import RESULT, MetricsRow, RunFolder
from ..training.folder_source import Origin, prepare_source
from ..training.launcher import are_several, join_processes
from ..training.loop import Intervals, Outcome, SilentEvents, fit
from ..training.meter import Reading
from ..training.processes import Processes, SingleProcess
from ..training.settings import TrainingSettings
from ..training.source import Previewer, TrainingSource
from ..training.trainer import State, Trainer
from .device import resolve_device
from .progress import counter
from .train_config import ContentsCheck, config_of

if TYPE_CHECKING:
    from .subparsers import Subparsers

#: The options for intervals.
INTERVALS = {"log": "write the loss", "read": "read the meter", "save": "save and draw a preview"}


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments; the run's config.json keeps all that affect the result."""
    about = "train a ControlNet for a base model"
    parser = subparsers.add_parser(
        "train",
        help=about,
        description="Trains a ControlNet and writes OUT/control_net.safetensors, with metrics, plots, pictures and "
        "checkpoints next to it. With --tiny it needs nothing else. --resume continues the run in OUT.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--tiny", action="store_true", default=None, help="use the embedded model and its own data"
    )
    parser.add_argument("--base", help="a diffusers folder, or an SD1.x, SD2.x or SDXL checkpoint")
    parser.add_argument(
        "--config", metavar="DIR", help="tokenizer and configs for a checkpoint file"
    )
    parser.add_argument(
        "--data", help="a folder with prompt.json (fill50k) or metadata.jsonl (imagefolder)"
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        default=None,
        help="skip pictures that cannot be used",
    )
    parser.add_argument("--size", type=int, help="side in pixels (default: 512; --tiny: 64)")
    parser.add_argument("--steps", type=int, help="in all (default: 10000; --tiny: 500)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--accept-changed-data",
        action="store_true",
        help="with --resume: continue even if pictures, hints or prompts changed",
    )
    parser.add_argument(
        "--stop-at-convergence", action="store_true", help="stop when the net follows its hint"
    )
    parser.add_argument("--device", help="default: cuda, else mps, else cpu")
    for name, what in INTERVALS.items():
        default = getattr(Intervals, name)
        help = f"{what} (default: {default} steps)"
        parser.add_argument(f"--{name}-every", type=int, default=default, metavar="N", help=help)
    _add_settings(parser)
    parser.set_defaults(run=run)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("settings of the training")
    for field in fields(TrainingSettings):
        option = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            group.add_argument(option, action="store_true", default=None)
        else:
            group.add_argument(
                option, type=_reader(field.default), help=f"default: {field.default}"
            )


def _reader(default: object) -> Callable[[str], Any]:
    """Returns the function that parses an option: its default's type, or float for None."""
    kinds: dict[str, Callable[[str], Any]] = {"int": int, "str": str}
    return kinds.get(type(default).__name__, float)


def run(args: argparse.Namespace) -> int:
    """Trains and returns the exit status; Ctrl-C saves and exits with 0."""
    folder = RunFolder(args.out)
    if not args.resume:
        folder.check_free()  # checked before hours of encoding
    config = config_of(args, folder.config() if args.resume else None)
    settings = TrainingSettings.from_dict(config["settings"])
    intervals = Intervals(args.log_every, args.read_every, args.save_every)
    processes = _processes(args.device)
    before = folder.contents() if args.resume else None
    check = ContentsCheck(before, args.out, accept=args.accept_changed_data, tell=_complain)
    source = _source(config, args, processes.device, check)
    trainer = Trainer(source.base, source.samples, settings, processes=processes)
    state = folder.state() if args.resume else None
    if state is not None:
        trainer.restore(state)
    first = processes.index == 0
    if first:
        _write_start(folder, config, check, trainer.step, resumed=args.resume)
    events = (
        _TerminalEvents(folder, source.preview, config["steps"], trainer.step)
        if first
        else SilentEvents()
    )
    with _interrupts() as stop:
        outcome = fit(
            trainer,
            source.meter(settings),
            config["steps"],
            events,
            intervals=intervals,
            readings=folder.readings(trainer.step) if args.resume else (),
            stop=stop,
            stop_at_convergence=args.stop_at_convergence,
        )
    if first:
        folder.plot()
        print(_summary(outcome, args.out))
    return 0


def _write_start(
    folder: RunFolder, config: dict[str, Any], check: ContentsCheck, step: int, *, resumed: bool
) -> None:
    """Writes the contents of the run, and whether its data changed at this step."""
    if resumed:
        folder.forget_after(step)
        folder.set_config(config)
    else:
        folder.begin(config)
    if check.now is not None:
        folder.set_contents(check.now)
    if check.changed:
        folder.write({"step": step, "data_changed": check.changed})


def _source(
    config: dict[str, Any], args: argparse.Namespace, device: torch.device, check: ContentsCheck
) -> TrainingSource:
    if config["steps"] < 1:
        raise ValueError(f"`--steps` is {config['steps']}; it must be at least 1.")
    if config["size"] < 8 or config["size"] % 8:
        raise ValueError(f"`--size` is {config['size']}; it must be a multiple of 8.")
    if config["tiny"] and (config["base"] or config["data"]):
        raise ValueError("`--tiny` has its own base and data; omit `--base` and `--data`.")
    if config["tiny"]:
        return tiny_source(config["size"])
    if not config["base"] or not config["data"]:
        raise ValueError(
            "Give a base model with `--base` and a data folder with `--data`, or use `--tiny`."
        )
    origin = Origin(
        Path(config["base"]),
        config["config"] and Path(config["config"]),
        Path(config["data"]),
        config["size"],
        bool(config["skip_bad"]),
        config["settings"]["flip"],
    )
    cache = args.out / "cache"
    return prepare_source(origin, cache, device, check=check, tell=_complain, progress=counter)


def _complain(line: str) -> None:
    print(f"cnet: {line}", file=sys.stderr)


def _processes(device: str | None) -> Processes:
    if are_several():
        return join_processes()
    return SingleProcess(resolve_device(device or _best_device()))


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _summary(outcome: Outcome, out: Path) -> str:
    if not outcome.compared:
        seen = "whether it follows its hint cannot be measured: no two samples have the same size"
    elif outcome.converged_at is None:
        seen = "it does not follow its hint yet"
    else:
        seen = f"it has followed its hint since step {outcome.converged_at}"
    how = "" if outcome.reason == "finished" else f", {outcome.reason}; --resume continues"
    return f"{out / RESULT}: {outcome.step} steps{how}; {seen}"


class _TerminalEvents:
    """Reports events to the folder and the terminal."""

    def __init__(self, folder: RunFolder, preview: Previewer, steps: int, step: int) -> None:
        self._folder, self._preview, self._steps = folder, preview, steps
        self._board = Board(folder.path / "tensorboard", step)
        self._first, self._begin = step, time.monotonic()
        self._line = ""

    def on_step(self, step: int) -> None:
        speed = (step - self._first) / (time.monotonic() - self._begin)
        left = (self._steps - step) / speed
        self._show(
            f"step {step} / {self._steps}  {speed:.2f} steps/s  {_clock(left)} left  {self._line}"
        )

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self._line = f"loss {loss:.4f}"
        self._write({"step": step, "loss": loss, "rate": rate})

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self._write({"step": reading.step, "reading": reading.to_dict()})
        follows = (
            "" if converged_at is None else f"  has followed its hint since step {converged_at}"
        )
        self._tell(
            f"step {reading.step}: held-out loss {reading.loss:.4f}, gap {reading.gap:.2%}{follows}"
        )
        self._folder.plot()

    def save(self, state: State, result: ControlNet) -> None:
        self._folder.save(state, result)
        picture, figures = self._preview(result)
        self._folder.save_picture(to_image(picture), f"previews/step_{state.step:08d}.png")
        if figures:
            self._write({"step": state.step, **figures})
            self._tell("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    def _write(self, row: MetricsRow) -> None:
        self._folder.write(row)
        self._board.write(row)

    def _tell(self, line: str) -> None:
        self._show("")
        print(line, flush=True)

    def _show(self, line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{line:<100}", end="\r", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


@contextmanager
def _interrupts() -> Generator[Callable[[], bool]]:
    """Yields a function that returns True after Ctrl-C; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\ncnet: saving; interrupt again to stop at once.", file=sys.stderr)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, cast(Any, handler))
