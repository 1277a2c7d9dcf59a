"""How long a ControlNet file takes to load, beside other loaders: `python -m cnet_core.bench.loading FILE`.

A memory map alone is no load, so every round reads all weights once, the same way for every loader; the loaders take
turns, so that a busy machine is busy for all of them. The first turn of each, which may meet a cold file, is not
counted.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

from ..checkpoints import load_controlnet, save_controlnet
from .settings import Settings
from .tables import Table

#: A file -> all of its weights.
Loader = Callable[[Path], Iterable[Tensor]]

#: What there is to compare without other programs.
LOADERS: Mapping[str, Loader] = {
    "cnet_core": lambda path: load_controlnet(path).parameters(),
    "safetensors": lambda path: load_file(path).values(),
}


@dataclass(frozen=True)
class LoadTime:
    """Seconds to load a file and read its weights once."""

    least: float
    median: float
    cpu: float  # least of processor time, which other programs disturb less
    load_alone: float  # least of processor time before the weights are read


def measure(
    path: Path, rounds: int = 7, loaders: Mapping[str, Loader] = LOADERS
) -> dict[str, LoadTime]:
    """Returns the times of each loader, in turns, after one turn that is not counted."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in loaders}
    for _ in range(rounds + 1):
        for name, load in loaders.items():
            found[name].append(_turn(path, load))
    return {name: _summary(turns[1:]) for name, turns in found.items()}


def read_once(weights: Iterable[Tensor]) -> int:
    """Reads every byte and returns a sum of them, so that nothing can be left out."""
    total = 0
    for weight in weights:
        flat = weight.detach().reshape(-1).view(torch.uint8)
        wide = flat if len(flat) % 8 else flat.view(torch.int64)
        total += int(wide.sum())
    return total


def _turn(path: Path, load: Loader) -> tuple[float, float, float]:
    """Returns wall time, processor time, and processor time of the load alone."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    weights = list(load(path))
    loaded = time.process_time()
    read_once(weights)
    return time.perf_counter() - wall, time.process_time() - cpu, loaded - cpu


def _summary(turns: list[tuple[float, float, float]]) -> LoadTime:
    walls, cpus, loads = zip(*turns, strict=True)
    numbers = (min(walls), median(walls), min(cpus), min(loads))
    return LoadTime(*(round(number, 4) for number in numbers))


def section(settings: Settings, tell: Callable[[int, int], None]) -> Table:
    """Returns the times for a file of random weights, as a section of `cnet bench`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control_net.safetensors"
        save_controlnet(settings.nets()[1], path)
        size = path.stat().st_size / 2**20
        tell(0, 1)
        found = measure(path, settings.rounds)
    tell(1, 1)
    return Table(
        title=f"loading a ControlNet of {size:.0f} MiB and reading it once ({settings.family}, {settings.dtype})",
        columns=("least ms", "median ms", "cpu ms", "cpu ms, load alone"),
        rows={
            name: tuple(1000 * s for s in (t.least, t.median, t.cpu, t.load_alone))
            for name, t in found.items()
        },
        chart="least ms",
    )


def main(more: Mapping[str, Loader] | None = None) -> None:
    """Prints the times as JSON; `more` are loaders that cnet_core does not know."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(args.file, args.rounds, {**LOADERS, **(more or {})})
    print(json.dumps({name: asdict(times) for name, times in found.items()}, indent=2))


if __name__ == "__main__":
    main()
