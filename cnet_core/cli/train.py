"""`cnet train`: trains a ControlNet for a locked base model, on pictures with hints and prompts."""

import argparse
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..nets.controlnet import ControlNet
from ..nets.low_rank import LowRankControlNet
from ..tiny.training import tiny_source
from ..training.board import Board, FiguresView
from ..training.folder import RESULT, RunFolder
from ..training.folder_source import Origin, prepare_source
from ..training.launcher import are_several, join_processes
from ..training.loop import Events, Intervals, Outcome, SilentEvents, fit
from ..training.made_hints import HINT_MAKERS
from ..training.processes import Processes, SingleProcess
from ..training.settings import DEFAULT_RATES, TrainingSettings
from ..training.source import TrainingSource
from ..training.start import load_start
from ..training.trackers import Trackers
from ..training.trainer import Trainer
from .device import resolve_device
from .interrupts import catch_interrupts
from .progress import counter
from .train_config import ContentsCheck, changes_of, config_of
from .train_events import TerminalEvents
from .train_options import add_origin_options

if TYPE_CHECKING:
    from .subparsers import Subparsers

#: Options that the embedded base does not take.
NOT_TINY = ("base", "data", "hint", "validation", "max_samples")
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
    add_origin_options(parser)
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
    parser.add_argument(
        "--tracker",
        action="append",
        default=[],
        metavar="NAME",
        help="also send the figures to wandb, mlflow, comet_ml … by accelerate; may be repeated",
    )
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
        if field.type is bool:
            group.add_argument(option, action="store_true", default=None)
        else:
            group.add_argument(option, type=_reader(field), help=f"default: {_default(field)}")


def _default(field: Field[Any]) -> str:
    """Returns what an option's help says of its default."""
    if field.name != "learning_rate":
        return str(field.default)
    return ", ".join(f"{rate} for {optimizer}" for optimizer, rate in DEFAULT_RATES.items())


def _reader(field: Field[Any]) -> Callable[[str], Any]:
    """Returns the function that parses an option: the type of its setting."""
    if field.type in (int, int | None):
        return int
    return float if field.type in (float, float | None) else str


def run(args: argparse.Namespace) -> int:
    """Trains and returns the exit status; Ctrl-C saves and exits with 0."""
    folder = RunFolder(args.out)
    if not args.resume:
        folder.check_free()  # checked before hours of encoding
    kept = folder.config() if args.resume else None
    config = config_of(args, kept)
    intervals = Intervals(args.log_every, args.read_every, args.save_every)
    processes = _processes(args.device)
    first = processes.index == 0
    tell = _complain if first else _ignore
    trackers = Trackers(args.tracker, args.out, tell) if args.tracker and first else None
    before = folder.contents() if args.resume else None
    check = ContentsCheck(before, args.out, accept=args.accept_changed_data, tell=tell)
    source = _source(config, args, processes.device, check, tell=_ignore if args.resume else tell)
    trainer = _prepare_trainer(source, config, processes, folder if args.resume else None)
    if not first:
        _fit(args, config, trainer, source, SilentEvents(), intervals)
        return 0
    _write_start(folder, config, check, trainer.step, kept)
    with _open_views(trackers, folder, config, trainer.step) as views:
        events = TerminalEvents(folder, source.preview, config["steps"], trainer.step, views)
        outcome = _fit(args, config, trainer, source, events, intervals)
    folder.plot()
    print(_summary(outcome, args.out) + _advice(trainer.net, config, args.out))
    return 0


def _prepare_trainer(
    source: TrainingSource, config: dict[str, Any], processes: Processes, resumed: RunFolder | None
) -> Trainer:
    """Returns the trainer at its first step, or in the newest state of the run to resume."""
    settings = TrainingSettings.from_dict(config["settings"])
    trainer = Trainer(source.base, source.samples, settings, net=source.start, processes=processes)
    state = None if resumed is None else resumed.state()
    if state is not None:
        trainer.restore(state)
    return trainer


def _fit(
    args: argparse.Namespace,
    config: dict[str, Any],
    trainer: Trainer,
    source: TrainingSource,
    events: Events,
    intervals: Intervals,
) -> Outcome:
    """Trains to the end, or to Ctrl-C."""
    with catch_interrupts() as stop:
        return fit(
            trainer,
            source.meter(trainer.settings),
            config["steps"],
            events,
            intervals=intervals,
            readings=RunFolder(args.out).readings(trainer.step) if args.resume else (),
            stop=stop,
            stop_at_convergence=args.stop_at_convergence,
        )


@contextmanager
def _open_views(
    trackers: Trackers | None, folder: RunFolder, config: dict[str, Any], step: int
) -> Generator[list[FiguresView]]:
    """Yields what else shows the figures: TensorBoard if it is installed, and the named trackers; closes them."""
    views: list[FiguresView] = [Board(folder.path / "tensorboard", step)]
    if trackers is not None:
        trackers.begin(config)
        views.append(trackers)
    try:
        yield views
    finally:
        for view in views:
            view.close()


def _write_start(
    folder: RunFolder,
    config: dict[str, Any],
    check: ContentsCheck,
    step: int,
    kept: dict[str, Any] | None,
) -> None:
    """Writes the contents of the run, and what changed at this step against the config of the run to resume."""
    changed = changes_of(kept, config) if kept is not None else {}
    if kept is not None:
        folder.forget_after(step)
        folder.set_config(config)
    else:
        folder.begin(config)
    if check.now is not None:
        folder.set_contents(check.now)
    if check.changed:
        folder.write({"step": step, "data_changed": check.changed})
    if changed:
        folder.write({"step": step, "changed": changed})
    for name, (before, now) in changed.items():
        _complain(f"From step {step} on, `{name}` is {now} instead of {before}.")


def _source(
    config: dict[str, Any],
    args: argparse.Namespace,
    device: torch.device,
    check: ContentsCheck,
    *,
    tell: Callable[[str], None],
) -> TrainingSource:
    """Returns base, data and start; tells what is special about the run."""
    if config["steps"] < 1:
        raise ValueError(f"`--steps` is {config['steps']}; it must be at least 1.")
    if config["size"] < 8 or config["size"] % 8:
        raise ValueError(f"`--size` is {config['size']}; it must be a multiple of 8.")
    rank: int | None = config["settings"]["lora_rank"]
    if args.learning_rate is None and config["settings"]["optimizer"] == "adafactor":
        tell(
            f"The learning rate is {config['settings']['learning_rate']}, the default of adafactor."
        )
    if config["tiny"]:
        given = [f"`--{name.replace('_', '-')}`" for name in NOT_TINY if config[name]]
        if given:
            raise ValueError(f"`--tiny` has its own base and data; omit {', '.join(given)}.")
        source = tiny_source(config["size"])
        if not config["controlnet"]:
            return source
        start = load_start(Path(config["controlnet"]), source.base.unet, lora_rank=rank)
        return replace(source, start=start)
    if not config["base"] or not config["data"]:
        raise ValueError(
            "Give a base model with `--base` and a data folder with `--data`, or use `--tiny`."
        )
    if config["max_samples"] is not None and config["max_samples"] < 1:
        raise ValueError(f"`--max-samples` is {config['max_samples']}; it must be at least 1.")
    origin = Origin(
        Path(config["base"]),
        config["config"] and Path(config["config"]),
        Path(config["data"]),
        config["size"],
        bool(config["skip_bad"]),
        config["settings"]["flip"],
        config["hint"] and HINT_MAKERS[config["hint"]],
        config["max_samples"],
        config["validation"] and Path(config["validation"]),
        config["controlnet"] and Path(config["controlnet"]),
        rank,
    )
    cache = args.out / "cache"
    return prepare_source(origin, cache, device, check=check, tell=tell, progress=counter)


def _complain(line: str) -> None:
    print(f"cnet: {line}", file=sys.stderr)


def _ignore(line: str) -> None:
    """For the other processes, and for a resumed run, whose start has told it."""


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


def _advice(net: ControlNet, config: Mapping[str, Any], out: Path) -> str:
    """Returns how to use a result that no loader takes; else nothing."""
    if not isinstance(net, LowRankControlNet) or net.origin is None:
        return ""
    start = config["controlnet"]
    return f"\nIt is a LoRA of a ControlNet. Make it whole: cnet merge {start} {out / RESULT} OUT.safetensors"
