"""`cnet bench`: measures the cost of control on this machine."""

import argparse
import json
import os
import platform
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import torch

from ..bench.settings import FAMILIES, BenchSettings
from ..bench.tables import Table, bar_chart
from .device import resolve_device
from .progress import counter

if TYPE_CHECKING:
    from .subparsers import Subparsers

#: Section -> (module of cnet_core.bench, function, what it measures). The first is the default.
SECTIONS = {
    "steps": ("steps", "section", "a step of a UNet with control in each way, and of diffusers"),
    "training": (
        "training_step",
        "section",
        "a step of training: fine-tune, ControlNet as released, ours",
    ),
    "training-memory": (
        "training_memory",
        "section",
        "what a step of cnet train holds, by precision, checkpointing and optimizer",
    ),
    "memory": ("memory", "section", "the peak of tensors in a step, with 1 to 4 units"),
    "prompts": ("comfyui", "section", "whole prompts in a real ComfyUI (needs --comfyui)"),
    "loading": ("loading", "section", "loading a file of random weights, and reading it once"),
}
#: A net of a few million weights, for a run of seconds.
SHORT = BenchSettings(width=0.2, side=64, rounds=2)


class Section(Protocol):
    """A function that SECTIONS names."""

    def __call__(self, settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
        """Returns its results; calls `tell` with (done, in all)."""
        ...


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    about = "measure the cost of control on this machine"
    parser = subparsers.add_parser(
        "bench",
        help=about,
        description="Times nets of the released shape with random weights, each way in turn, in rounds. Prints a "
        "table of times and operations. Quote ratios, since a busy machine distorts times.",
    )
    for name, (_, _, what) in SECTIONS.items():
        parser.add_argument(
            f"--{name}", action="append_const", const=name, dest="sections", help=what
        )
    full = BenchSettings()
    parser.add_argument("--family", choices=FAMILIES, default=full.family)
    parser.add_argument("--width", type=float, help="fraction of the released width (default: 1)")
    parser.add_argument("--side", type=int, help="side of the pictures in pixels (default: 512)")
    parser.add_argument(
        "--pictures",
        type=int,
        help="pictures per batch; the UNet's batch is twice that (default: 1)",
    )
    parser.add_argument("--rounds", type=int, help="rounds; each times every way once (default: 5)")
    parser.add_argument(
        "--prompt-steps",
        type=int,
        help="steps of a prompt in ComfyUI (default: 3 on a CPU, else 20)",
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        default=[],
        metavar="NAME",
        help="rows of the table of steps or prompts (default: all)",
    )
    parser.add_argument("--device", help="default: cuda if available, else cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default=full.dtype)
    parser.add_argument(
        "--comfyui",
        type=Path,
        metavar="PATH",
        help="folder of a ComfyUI: measures whole prompts in it, also with its own ControlNet, and with "
        "Advanced-ControlNet if that is in custom_nodes",
    )
    parser.add_argument(
        "--comfyui-python",
        metavar="PYTHON",
        help="a Python with ComfyUI's requirements (default: this one)",
    )
    parser.add_argument(
        "--comfyui-options",
        type=shlex.split,
        default=[],
        metavar="OPTIONS",
        help="options for ComfyUI's command line, as in --comfyui-options=--lowvram",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="run the ControlNet through torch.compile; the first step of each way takes a minute or more",
    )
    parser.add_argument(
        "--short", action="store_true", help="narrow nets and two rounds: takes seconds"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write bench.json and bench.png")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures, prints and writes; returns the exit status."""
    settings = _settings(args)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
    default = next(iter(SECTIONS)) if args.comfyui is None else "prompts"
    names: list[str] = args.sections or [default]
    tables = [_section(name)(settings, counter(name)) for name in names]
    report = {"machine": _machine(settings), "tables": [table.to_dict() for table in tables]}
    text = json.dumps(report, indent=2)
    print(text if args.json else "\n\n".join(map(str, tables)))
    if args.out is not None:
        _write(args.out, text, tables)
    return 0


def _settings(args: argparse.Namespace) -> BenchSettings:
    base = SHORT if args.short else BenchSettings()
    cuda = "cuda" if torch.cuda.is_available() else "cpu"
    given = {name: getattr(args, name) for name in ("width", "side", "pictures", "rounds")}
    return BenchSettings(
        family=args.family,
        device=resolve_device(args.device or cuda),
        dtype=args.dtype,
        ways=tuple(args.ways),
        prompt_steps=args.prompt_steps,
        comfyui=args.comfyui,
        comfyui_python=args.comfyui_python,
        comfyui_options=tuple(args.comfyui_options),
        compile=args.compile,
        **{name: getattr(base, name) if value is None else value for name, value in given.items()},
    )


def _section(name: str) -> Section:
    module, function, _ = SECTIONS[name]
    return cast(Section, getattr(import_module(f"..bench.{module}", __package__), function))


def _machine(settings: BenchSettings) -> dict[str, object]:
    device = torch.device(settings.device)
    return {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _write(out: Path, text: str, tables: list[Table]) -> None:
    aside = out / ".bench.partial"
    aside.write_text(text + "\n")
    os.replace(aside, out / "bench.json")
    with aside.open("wb") as file:
        bar_chart(tables).save(file, format="PNG")
    os.replace(aside, out / "bench.png")
