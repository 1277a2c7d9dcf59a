"""What control of other models costs: ours against ComfyUI's own, in processor time, as a Markdown table.

time_script.py COMFYUI [FAMILY ...]: medians of 12 rounds in one process; each round runs every way once, in turn. The
fixed cost of a call matters less with larger latents, so the table shows the gain from fewer calls by size.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import bench as workbench
from bench import NAMES, Bench, cnet
from families import FAMILIES

SIDES, STEPS, ROUNDS = (8, 16, 32), 3, 12
#: Row of the table -> family, and by how many tokens the negative prompt is longer.
ROWS = {
    "T2I SD1.5": ("T2I SD1.5 full", 0),
    "T2I SDXL": ("T2I SDXL", 0),
    "SD3.5": ("SD3.5", 0),
    "Flux, InstantX": ("Flux InstantX", 0),
    "Qwen-Image, prompts of equal length": ("Qwen InstantX", 0),
    "Qwen-Image, prompts of two lengths": ("Qwen InstantX", 2),
}
#: Column -> ours and ComfyUI's.
RATIOS = {
    "cond only / ComfyUI's on the positive": ("cond_only", "positive"),
    "both / ComfyUI's on both": ("both", "native"),
}


def ways(bench: Bench) -> dict[str, Callable[[], Any]]:
    """Returns what is timed; controls and MODELs are made before."""
    control, positive = bench.native(), bench.native()
    both, cond_only = bench.ours(), bench.ours(cnet.HintRouting.cond_only())
    return {
        "native": lambda: bench.sample(bench.model, control, control, STEPS),
        "both": lambda: bench.sample(both, steps=STEPS),
        "positive": lambda: bench.sample(bench.model, positive, steps=STEPS),
        "cond_only": lambda: bench.sample(cond_only, steps=STEPS),
    }


def medians(family: str, longer: int) -> dict[str, float]:
    """Returns the median processor time of a run by way, in seconds."""
    bench = Bench(FAMILIES[family])
    bench.longer = longer
    timed, took = ways(bench), {}
    for run in timed.values():
        run()
    for round_ in range(ROUNDS):
        names = [*timed][round_ % len(timed) :] + [*timed][: round_ % len(timed)]
        for name in names:
            start = time.process_time()
            timed[name]()
            took.setdefault(name, []).append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in took.items()}


def main() -> None:
    """Prints the table."""
    chosen = {n: v for n, v in ROWS.items() if not NAMES or v[0] in NAMES}
    sys.stdout.write(f"| net | latents | {' | '.join(RATIOS)} |\n|---|---|{'---|' * len(RATIOS)}\n")
    for workbench.SIDE in SIDES:
        for name, (family, longer) in chosen.items():
            took = medians(family, longer)
            cells = [f"{took[ours] / took[native]:.2f}" for ours, native in RATIOS.values()]
            side = f"{workbench.SIDE} x {workbench.SIDE}"
            sys.stdout.write(f"| {name} | {side} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
