"""The time and memory to load a ControlNet file, compared with other loaders.

    python -m cnet_core.bench.loading FILE
    cnet bench --loading --family sdxl --dtype float16      # a file of random weights

A memory map alone is not a load, so every round reads all weights once, in the same way for every loader. The loaders
take turns, so that a busy machine slows all of them. The first turn of each, which may meet a cold file, is not
counted.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import cast

import torch
from torch import Tensor

from ..checkpoints import identify, load_controlnet, save_controlnet
from ..nets.controlnet import ControlNet
from . import process_memory
from .settings import BenchSettings
from .tables import Table

#: A file -> all of its weights.
Loader = Callable[[Path], Iterable[Tensor]]

MIB = 2**20


@dataclass(frozen=True)
class Load:
    """The cost of loading a file and reading its weights once; memory is None except on Linux."""

    wall: float  # seconds
    cpu: float  # seconds of processor time, which other programs disturb less
    load_alone: float  # of them, before the weights are read
    peak: float | None  # most MiB beyond those before, pages of a mapped file among them
    private: float | None  # MiB in use in the end that no file backs


#: Column -> (which figure of a round, which of all rounds).
COLUMNS: Mapping[str, tuple[Callable[[Load], float | None], Callable[[list[float]], float]]] = {
    "least ms": (lambda load: 1000 * load.wall, min),
    "median ms": (lambda load: 1000 * load.wall, median),
    "cpu ms": (lambda load: 1000 * load.cpu, min),
    "cpu ms, load alone": (lambda load: 1000 * load.load_alone, min),
    "peak MiB": (lambda load: load.peak, max),
    "private MiB": (lambda load: load.private, max),
}


def find_loaders() -> dict[str, Loader]:
    """Returns this library's loader and, if installed, safetensors' own."""
    found: dict[str, Loader] = {"cnet_core": lambda path: load_controlnet(path).parameters()}
    if find_spec("safetensors") is not None:
        from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

        found["safetensors"] = lambda path: load_file(path).values()
    return found


def measure(path: Path, rounds: int, loaders: Mapping[str, Loader]) -> dict[str, list[Load]]:
    """Returns each loader's cost in every round; they take turns."""
    found: dict[str, list[Load]] = {name: [] for name in loaders}
    for _ in range(rounds + 1):
        for name, load in loaders.items():
            found[name].append(_turn(path, load))
    return {name: turns[1:] for name, turns in found.items()}


def read_once(weights: Iterable[Tensor]) -> int:
    """Reads every byte and returns a sum of them, so that nothing can be skipped."""
    total = 0
    for weight in weights:
        flat = weight.detach().reshape(-1).view(torch.uint8)
        wide = flat if len(flat) % 8 else flat.view(torch.int64)
        total += int(wide.sum())
    return total


def structure_seconds(path: Path, rounds: int = 7) -> float:
    """Returns the least time to read a header, build its net on the meta device and compare the two."""
    return min(_seconds(lambda: identify(path)) for _ in range(rounds))


def _turn(path: Path, load: Loader) -> Load:
    gc.collect()
    process_memory.forget_peak()
    before, own = process_memory.in_use(), process_memory.private()
    wall, cpu = time.perf_counter(), time.process_time()
    weights = list(load(path))
    loaded = time.process_time()
    read_once(weights)
    wall, done = time.perf_counter() - wall, time.process_time()
    return Load(
        wall,
        done - cpu,
        loaded - cpu,
        _measure_growth(before, process_memory.peak()),
        _measure_growth(own, process_memory.private()),
    )


def _measure_growth(before: int | None, after: int | None) -> float | None:
    return None if before is None or after is None else (after - before) / MIB


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(path: Path, rounds: int, more: Mapping[str, Loader] | None = None) -> Table:
    """Returns each loader's cost for a file: the shortest times, the largest memory.

    Args:
        more: additional loaders.
    """
    found = measure(path, rounds, {**find_loaders(), **(more or {})})
    structure = 1000 * structure_seconds(path, rounds)
    return Table(
        title=f"loading {path.name} ({path.stat().st_size / MIB:.0f} MiB) and reading it once",
        columns=tuple(COLUMNS),
        rows={name: _row(turns) for name, turns in found.items()},
        chart="least ms",
        notes=(f"Header and structure alone, on the meta device: {structure:.0f} ms.",),
    )


def _row(turns: list[Load]) -> tuple[float | None, ...]:
    return tuple(
        None if None in values else choose(cast(list[float], values))
        for figure, choose in COLUMNS.values()
        for values in [[figure(turn) for turn in turns]]
    )


def section(settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
    """Returns the figures for a file of random weights, as a section of `cnet bench`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{settings.family}_{settings.dtype}.safetensors"
        save_controlnet(_random_net(settings), path)
        tell(0, 1)
        found = compare(path, settings.rounds)
    tell(1, 1)
    return found


def _random_net(settings: BenchSettings) -> ControlNet:
    with torch.device("meta"):
        net = ControlNet(settings.config).to(settings.torch_dtype)
    net.to_empty(device="cpu").requires_grad_(False)
    noise = torch.Generator().manual_seed(0)
    for weight in net.parameters():
        weight.normal_(std=0.02, generator=noise)
    return net


def main(more: Mapping[str, Loader] | None = None) -> None:
    """Prints the table for a file; `more` are loaders that cnet_core does not know."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(compare(args.file, args.rounds, more))


if __name__ == "__main__":
    main()
