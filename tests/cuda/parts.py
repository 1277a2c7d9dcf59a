"""The parts of a run on a GPU, the most valuable first: what each starts, how long it may take, what it found."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

COMFYUI = Path(".cuda/comfyui")
CNET = (sys.executable, "-m", "cnet_core.cli")
PRECISIONS = ("fp32", "bf16", "fp16")
#: Rows of the bench that are worth a GPU's time at every size.
STEPS = ("both", "cond only", "diffusers: both", "diffusers: guess mode")
PROMPTS = ("both", "cond only", "ComfyUI: both", "ComfyUI: on the positive alone")


@dataclass(frozen=True)
class Part:
    """One process and its results."""

    name: str
    seconds: int  # at most
    command: tuple[str, ...]  # {out} stands for a folder of its own
    read: Callable[[Path], Any]  # that folder -> what was found there


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    device: str
    dtype: str
    width: float
    small: int  # sides of pictures in pixels
    large: int
    rounds: int  # of steps
    prompt_rounds: int  # of those at the small side
    prompt_steps: int
    low_vram: str  # ComfyUI's option
    compiled: tuple[str, ...]  # ways that are compiled, which takes a minute or more each


GPU = Sizes(
    device="cuda",
    dtype="float16",
    width=1.0,
    small=512,
    large=1024,
    rounds=20,
    prompt_rounds=6,
    prompt_steps=20,
    low_vram="--novram",  # with so much memory --lowvram would move nothing
    compiled=("both", "cond only"),
)
REHEARSAL = Sizes(
    device="cpu",
    dtype="float32",
    width=0.2,
    small=64,
    large=64,
    rounds=1,
    prompt_rounds=1,
    prompt_steps=2,
    low_vram="--disable-smart-memory",  # ComfyUI has no low VRAM on a CPU
    compiled=("both",),
)
#: Rounds of prompts that take longer.
FEW = ("--rounds", "3")


def stages(sizes: Sizes) -> list[list[Part]]:
    """Returns the parts in their order; those of one stage run at the same time, since nothing of them is timed."""
    small, large, sdxl = (
        _bench(sizes, sizes.small),
        _bench(sizes, sizes.large),
        ("--family", "sdxl"),
    )
    prompts = _prompts(sizes, sizes.small)
    large_prompts = (*_prompts(sizes, sizes.large), *FEW, "--ways", *PROMPTS)
    low_vram = (*prompts, *FEW, f"--comfyui-options={sizes.low_vram}", "--ways", *PROMPTS)
    compiled = ("--compile", "--ways", *sizes.compiled)
    timed = [
        Part("bench_512", 100, small, read_bench),
        Part("prompts_512", 110, prompts, read_bench),
        Part("bench_sdxl_1024", 90, (*large, *sdxl, "--ways", *STEPS), read_bench),
        Part("prompts_sdxl_1024", 90, (*large_prompts, *sdxl), read_bench),
        Part("prompts_512_low_vram", 75, low_vram, read_bench),
        Part("bench_1024", 60, (*large, "--ways", *STEPS), read_bench),
        Part("prompts_1024", 60, large_prompts, read_bench),
        Part("bench_512_batch_8", 60, (*small, "--pictures", "4", "--ways", *STEPS), read_bench),
        # Compiling takes minutes, so these come last; name them to run them alone.
        Part("bench_512_compiled", 180, (*small, *compiled), read_bench),
        Part("prompts_512_compiled", 180, (*prompts, *FEW, *compiled), read_bench),
    ]
    return [[_tests(), *(_training(sizes, p) for p in PRECISIONS)], *([part] for part in timed)]


def _tests() -> Part:
    """The tests that need a GPU. Warnings are no failures: versions are the machine's."""
    options = ("-o", "filterwarnings=default", "--continue-on-collection-errors", "-q", "-n4")
    where = ("-m", "cuda", "tests/core", "--junitxml={out}/tests.xml")
    return Part("tests", 90, (sys.executable, "-m", "pytest", *options, *where), read_tests)


def _training(sizes: Sizes, precision: str) -> Part:
    command = ("train", "--tiny", "--steps", "6", "--log-every", "1", "--read-every", "3")
    more = ("--precision", precision, "--device", sizes.device, "--out", "{out}/run")
    return Part(f"train_{precision}", 75, (*CNET, *command, *more), read_training)


def _bench(sizes: Sizes, side: int) -> tuple[str, ...]:
    shape = ("--width", str(sizes.width), "--side", str(side), "--dtype", sizes.dtype)
    how = ("--device", sizes.device, "--rounds", str(sizes.rounds), "--out", "{out}")
    return (*CNET, "bench", *shape, *how)


def _prompts(sizes: Sizes, side: int) -> tuple[str, ...]:
    how = ("--comfyui", str(COMFYUI), "--prompt-steps", str(sizes.prompt_steps))
    return (*_bench(sizes, side), "--rounds", str(sizes.prompt_rounds), *how)


def read_tests(folder: Path) -> Any:
    """Returns how many tests passed, failed and were skipped, and the failures' messages."""
    cases = list(ElementTree.parse(folder / "tests.xml").iter("testcase"))
    bad = {c.get("name", ""): r for c in cases for r in c if r.tag in ("failure", "error")}
    skipped = sum(c.find("skipped") is not None for c in cases)
    said = {name: result.get("message", "")[:500] for name, result in bad.items()}
    passed = len(cases) - skipped - len(bad)
    return {"passed": passed, "failed": len(bad), "skipped": skipped, "failures": said}


def read_training(folder: Path) -> Any:
    """Returns every line of a training's metrics that says a loss."""
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    return {"losses": {line["step"]: line["loss"] for line in lines if "loss" in line}}


def read_bench(folder: Path) -> Any:
    """Returns the bench's report."""
    return json.loads((folder / "bench.json").read_text())
