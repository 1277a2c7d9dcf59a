"""Memory over many prompts: `python tests/comfy/run_long_use.py COMFYUI PYTHON COUNT PLOT.png`.

Draws resident memory, living tensors and loaded models over the prompts, and says how much they grew after the first
quarter; then runs every distinct prompt in a fresh server and compares. Exits with 1 where something differs.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

import matplotlib
import torch
from host import Host, Place
from long_use import fresh, look, prompts, run_all
from weights import write_models

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MEGABYTE = 2**20


def main(comfyui: str, python: str, count: str, plot: str) -> int:
    """Runs all."""
    place, listed, seen = Place(Path(comfyui), python), list(prompts(int(count))), []
    with tempfile.TemporaryDirectory() as base:
        comfy = _server(place, Path(base) / "used")
        found = run_all(comfy, listed, lambda index: seen.append(look(comfy)))
        leaks = comfy.log.count("memory leak")
        comfy.stop()
        other = _server(place, Path(base) / "fresh")
        wrong = [
            p.name for p, latents in found.items() if not torch.equal(latents, fresh(other, p))
        ]
        other.stop()
    _draw(seen, Path(plot))
    ends = {end: sum(p.ends == end for p in listed) for end in ("well", "interrupted", "failing")}
    settled = seen[len(seen) // 4]
    print(
        f"{ends}; {len(found)} distinct ones compared with a fresh server, {len(wrong)} differ: {wrong}"
    )
    print(
        f"after prompt {len(seen) // 4}: {settled}\nat the end: {seen[-1]}\nlog lines of a leak: {leaks}"
    )
    return int(bool(wrong or leaks))


def _server(place: Place, base: Path) -> Host:
    write_models(base / "models")
    return Host(place, base)


def _draw(seen: list[dict], plot: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    series = {
        "resident memory (MiB)": [int(look["rss"]) * page / MEGABYTE for look in seen],
        "living tensors": [look["tensors"] for look in seen],
        "loaded models": [len(look["loaded"]) for look in seen],
    }
    figure, axes = plt.subplots(len(series), sharex=True, figsize=(8, 6))
    for axis, (name, values) in zip(axes, series.items(), strict=True):
        axis.plot(range(1, len(values) + 1), values)
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("prompt")
    figure.tight_layout()
    figure.savefig(plot, dpi=100)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
