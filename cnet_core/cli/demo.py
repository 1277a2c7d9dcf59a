"""`cnet demo`: the embedded model with every kind of control, in one contact sheet."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..tiny import demo
from ..tiny.drawn_hint import draw_hint
from ..tiny.hint_file import read_hint
from ..tiny.model import SIDE, TinyStableDiffusion
from ..tiny.sheet import contact_sheet, to_image
from ..tiny.text import tokenize
from ..tiny.things import KINDS

if TYPE_CHECKING:
    from .subparsers import Subparsers

MAX_STEPS = 1000
MAX_CFG_SCALE = 100


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="control the embedded model with a picture",
        description="Runs the embedded tiny Stable Diffusion with every routing and schedule, with the prompt and "
        "without, and writes contact_sheet.png, every picture and report.json.",
    )
    parser.add_argument(
        "--hint",
        type=Path,
        metavar="IMG",
        help="your picture; its edges become the hint",
    )
    parser.add_argument(
        "--draw",
        choices=KINDS,
        metavar="WORD",
        help="the outline of this shape or thing becomes the hint, such as fox, teapot or heart; any other word lists "
        f"them all (default: {demo.DEFAULT_KIND})",
    )
    parser.add_argument(
        "--hint-is-edges", action="store_true", help="the picture is already white lines on black"
    )
    parser.add_argument(
        "--prompt",
        help="words of the embedded model, such as 'a red panda on an orange background' (default: "
        f"{demo.DEFAULT_PROMPT}; with another hint: {demo.OPEN_PROMPT})",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("cnet_demo"), metavar="DIR", help="default: cnet_demo"
    )
    parser.add_argument("--steps", type=_steps, default=20, help="sampler steps (default: 20)")
    parser.add_argument(
        "--cfg", type=_scale, default=7.5, help="scale of classifier-free guidance (default: 7.5)"
    )
    parser.add_argument(
        "--seed", type=_seed, default=0, help="seed of the initial noise (default: 0)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the demonstration and returns the exit status."""
    prompt = _default_prompt(args) if args.prompt is None else args.prompt
    settings = demo.DemoSettings(prompt, args.steps, args.cfg, args.seed)
    tokenize(prompt)  # report an unknown word before loading or writing anything
    hint, inside = _hint(args)
    _check_folder(args.out)
    bar = _Bar(2 * len(demo.ROWS) * settings.steps)
    results = {
        r.name: (r, p)
        for r, p in demo.run(TinyStableDiffusion.load(), hint, settings, bar.step, inside)
    }
    bar.close()
    _publish(args.out, lambda folder: _write(folder, hint, settings, results))
    print(f"{args.out / 'contact_sheet.png'}: {len(results)} pictures; figures in report.json")
    return 0


def _default_prompt(args: argparse.Namespace) -> str:
    is_own_hint = args.hint is not None or args.draw not in (None, demo.DEFAULT_KIND)
    return demo.OPEN_PROMPT if is_own_hint else demo.DEFAULT_PROMPT


def _hint(args: argparse.Namespace) -> tuple[Tensor, Tensor | None]:
    """Returns the hint, and where its thing is if that is known."""
    if args.hint is None and args.hint_is_edges:
        raise ValueError("`--hint-is-edges` needs a picture: give it with `--hint`.")
    if args.hint is not None and args.draw is not None:
        raise ValueError(
            f"`--hint` is {args.hint} and `--draw` is {args.draw!r}; a demonstration has one hint, so omit one of them."
        )
    if args.hint is None:
        return draw_hint(args.draw or demo.DEFAULT_KIND)
    return read_hint(args.hint, SIDE, is_edges=args.hint_is_edges), None


def _write(
    folder: Path,
    hint: Tensor,
    settings: demo.DemoSettings,
    results: dict[str, tuple[demo.Result, Tensor]],
) -> None:
    to_image(hint[0]).save(folder / "hint.png")
    for name, (_, picture) in results.items():
        to_image(picture).save(folder / f"{name}.png")
    contact_sheet(hint, results).save(folder / "contact_sheet.png")
    report = {"settings": asdict(settings), "pictures": [r.figures() for r, _ in results.values()]}
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def _check_folder(out: Path) -> None:
    """Creates the folder for the results, so that an impossible one is reported at once."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"`--out` is {out}, which is a file; give a folder.")
    out.mkdir(parents=True, exist_ok=True)


def _publish(out: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary folder, then moves its files into `out`: all, or none if the disk is full."""
    aside = Path(tempfile.mkdtemp(dir=out, prefix=".partial-"))
    try:
        write(aside)
        for file in aside.iterdir():
            os.replace(file, out / file.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class _Bar:
    """A progress bar on stderr; silent if that is no terminal."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._shown = sys.stderr.isatty()

    def step(self, name: str) -> None:
        self._done += 1
        if self._shown:
            filled = 30 * self._done // self._total
            print(f"\r[{'#' * filled:.<30}] {name:<26}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            print(file=sys.stderr)


def _steps(text: str) -> int:
    return int(_within(text, int, 1, MAX_STEPS))


def _seed(text: str) -> int:
    return int(_within(text, int, 0, 2**63 - 1))


def _scale(text: str) -> float:
    return _within(text, float, 0, MAX_CFG_SCALE)


def _within(text: str, number: Callable[[str], float], low: int, high: int) -> float:
    """Returns a number of a command line; argparse puts the option's name in front of the error."""
    kind = "a whole number" if number is int else "a number"
    try:
        value = number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}") from None
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text} is not within {low}..{high}")
    return value
