"""What `train.py` is asked to do: its options, and how long and in which batches each stage trains on which device."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from base import Sizes

STAGES = ("autoencoder", "classifier", "base", "control", "assess")
#: Stage -> minutes.
MINUTES = {
    "cuda": {"autoencoder": 0.7, "classifier": 0.3, "base": 3.2, "control": 1.6},
    "cpu": {"autoencoder": 60.0, "classifier": 20.0, "base": 180.0, "control": 120.0},
}
#: Stage -> what its batches are like.
SIZES = {
    "cuda": {"base": Sizes(128, 256, 192, 10), "control": Sizes(128, 192, 192, 10)},
    "cpu": {"base": Sizes(128, 36), "control": Sizes(128, 40)},
}


def parse(description: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the options, with `minutes` and `sizes` by stage; exits with one sentence if they cannot be used."""
    parser = _parser(description)
    args = parser.parse_args(words)
    if (problem := _find_problem(args)) is not None:
        parser.error(problem)
    minutes = {**MINUTES[args.device.type], **dict(args.minutes)}
    args.minutes = {stage: value / args.shrink for stage, value in minutes.items()}
    args.sizes = SIZES[args.sizes or args.device.type]
    if args.batch:
        args.sizes = {stage: replace(size, batch=args.batch) for stage, size in args.sizes.items()}
    return args


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="state and results of the run")
    add("--out", type=Path, help="what to bring back from the run (default: FOLDER/out)")
    add("--start", type=Path, help="results of another run, to begin from")
    add("--device", type=_device, default="cpu", help="cpu or cuda (default: cpu)")
    add("--stages", nargs="+", choices=STAGES, default=STAGES)
    add("--minutes", type=_minutes, nargs="*", default=[], metavar="STAGE=MINUTES")
    add("--sizes", choices=SIZES, help="batches as for this device")
    add("--shrink", type=_above_0, default=1.0, help="divides every stage's minutes: to rehearse")
    add("--scenes", type=_count, default=96, help="to measure figures with hints on (default: 96)")
    add("--wait", type=float, default=0, help="seconds to wait for the compiler at the end")
    add("--save-every", type=float, default=60, help="seconds between states")
    add("--bfloat16", action="store_true", help="nets compute in bfloat16: on CPUs with AMX")
    add("--batch", type=_count, help="replaces every batch size: to rehearse")
    return parser


def _find_problem(args: argparse.Namespace) -> str | None:
    """Returns why these options cannot be used together, or here; None if they can."""
    if args.bfloat16 and args.device.type != "cpu":
        return "--bfloat16 is for CPUs; on a GPU nets compute in bfloat16 anyway"
    if args.folder.exists() and not args.folder.is_dir():
        return f"--folder is {args.folder}, which is a file: give a folder"
    if args.start is not None and not args.start.is_dir():
        return f"--start is {args.start}, which is no folder"
    if not hasattr(torch.optim, "Muon") and set(args.stages) != {"assess"}:
        return (
            f"training needs torch 2.9 or newer, which has Muon; this is torch {torch.__version__}"
        )
    return None


def _device(text: str) -> torch.device:
    try:
        device = torch.device(text)
    except RuntimeError:
        device = None
    if device is None or device.type not in MINUTES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a device to train on: give cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not there: torch finds {torch.cuda.device_count()} CUDA devices"
        )
    return device


def _minutes(text: str) -> tuple[str, float]:
    stage, _, minutes = text.partition("=")
    if stage not in MINUTES["cpu"] or not 0 <= _number(minutes) < math.inf:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not STAGE=MINUTES, such as base=3: the stages that train are "
            f"{', '.join(MINUTES['cpu'])}, and minutes are a number of at least 0"
        )
    return stage, float(minutes)


def _above_0(text: str) -> float:
    if not 0 < _number(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return float(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _number(text: str) -> float:
    """Returns the number, NaN for other text."""
    try:
        return float(text)
    except ValueError:
        return math.nan
