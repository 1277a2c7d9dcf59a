"""Memory over many prompts: `python tests/comfy/run_long_use.py COMFYUI PYTHON COUNT PLOT.png`.

Draws resident memory, living tensors and loaded models over the prompts that ended well, and says how much they grew
after the first quarter and which calls there were. Beside it every distinct prompt runs in another server that has just
freed all, some in a server of their own, and is compared. Exits with 1 where something differs, leaks or grew.
"""

import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

import matplotlib
import torch
from host import Host, Place
from long_use import NET, UNET, Look, Prompt, fresh, prompts, run_all
from weights import write_models

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MEGABYTE = 2**20
#: One in this many distinct prompts also runs in a server of its own.
ALONE = 20
#: What the resident memory may differ by between the second and the last quarter, MiB.
GROWTH = 30


def main(comfyui: str, python: str, count: str, plot: str) -> int:
    """Runs all."""
    place, listed = Place(Path(comfyui), python), list(prompts(int(count)))
    distinct = list(dict.fromkeys(prompt for prompt in listed if prompt.ends == "well"))
    with tempfile.TemporaryDirectory() as base, ThreadPoolExecutor() as pool:
        expected = pool.submit(_fresh_ones, place, Path(base), distinct)
        comfy = _server(place, Path(base) / "used")
        found, looks = run_all(comfy, listed)
        leaks = comfy.log.count("memory leak")
        comfy.stop()
        wrong = [
            prompt.name
            for prompt, latents in expected.result()
            if not torch.equal(latents, found[prompt])
        ]
    _draw(looks, Path(plot))
    print(f"{len(listed)} prompts:", dict(Counter(prompt.ends for prompt in listed)))
    alone = len(distinct[::ALONE])
    print(f"{len(distinct)} distinct ones compared with a fresh server,", end=" ")
    print(f"{alone} with one of their own: {len(wrong)} differ: {wrong}")
    for name in (UNET, NET):
        print(f"calls of {name}:", dict(Counter(map(str, looks[-1]["counts"][name]))))
    growth = _growth(looks)
    stacks = max(look["stacks"] for look in looks)
    print(f"growth {growth}; log lines of a leak: {leaks}; most runs left open: {stacks}")
    return int(bool(wrong or leaks or stacks or growth["resident memory (MiB)"] > GROWTH))


def _fresh_ones(
    place: Place, base: Path, distinct: list[Prompt]
) -> list[tuple[Prompt, torch.Tensor]]:
    """Returns each prompt's latents from a server with nothing loaded and nothing cached, some from two."""
    other = _server(place, base / "fresh")
    results = [(prompt, fresh(other, prompt)) for prompt in distinct]
    other.stop()
    for index, prompt in enumerate(distinct[::ALONE]):
        alone = _server(place, base / f"alone {index}")
        results.append((prompt, fresh(alone, prompt)))
        alone.stop()
    return results


def _growth(looks: list[Look]) -> dict[str, float]:
    """Returns how far the last quarter's maximum is above the second's, by what is drawn.

    Maxima, since a prompt of one family keeps other weights in memory than a prompt of the other.
    """
    quarter = len(looks) // 4
    return {
        name: round(max(values[-quarter:]) - max(values[quarter : 2 * quarter]), 1)
        for name, values in _series(looks).items()
    }


def _series(looks: list[Look]) -> dict[str, list[float]]:
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "resident memory (MiB)": [int(look["rss"]) * page / MEGABYTE for look in looks],
        "living tensors": [look["tensors"] for look in looks],
        "loaded models": [len(look["loaded"]) for look in looks],
    }


def _server(place: Place, base: Path) -> Host:
    write_models(base / "models")
    return Host(place, base)


def _draw(looks: list[Look], plot: Path) -> None:
    series = _series(looks)
    figure, axes = plt.subplots(len(series), sharex=True, figsize=(8, 6))
    for axis, (name, values) in zip(axes, series.items(), strict=True):
        axis.plot(range(1, len(values) + 1), values)
        axis.set_ylabel(name)
        axis.set_ylim(0, 1.2 * max(values))
    axes[-1].set_xlabel("prompt that ended well")
    figure.tight_layout()
    figure.savefig(plot, dpi=100)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
