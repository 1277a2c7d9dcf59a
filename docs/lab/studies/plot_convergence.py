"""Draws the plots of docs/convergence.md from the readings in docs/lab/studies/convergence, and prints its tables.

python docs/lab/studies/plot_convergence.py [--out docs/images]
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnet_core.training import Reading, convergence_step
from cnet_core.training.plots import line_plot

HERE = Path(__file__).parent
READINGS, PLOTS = HERE / "convergence", HERE.parents[1] / "images"
ADHERENCE = 0.7

Rows = list[dict[str, Any]]


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the plots and prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=PLOTS, metavar="FOLDER")
    out = parser.parse_args(argv).out
    out.mkdir(exist_ok=True)
    runs = {path.stem: _rows(path) for path in sorted(READINGS.glob("*.jsonl"))}
    for path in sorted(READINGS.rglob("*.jsonl")):
        print(f"{path.relative_to(READINGS).with_suffix('')!s:<54} {_figures(_rows(path))}")
    usual = {k: v for k, v in runs.items() if "rate0.001_beta0.999" in k and "dropout0.5" in k}
    series = {_label(k): _series(v, "adherence") for k, v in usual.items()}
    line_plot(series, "adherence, three seeds each").save(out / "convergence_adherence.png")
    losses = {_label(k): _series(v, "loss") for k, v in usual.items() if "seed0" in k}
    line_plot(losses, "held-out loss, seed 0").save(out / "convergence_loss.png")
    gaps = {_label(k): _series(v, "gap") for k, v in usual.items()}
    line_plot(gaps, "gap: what a wrong hint costs", log=True).save(out / "convergence_gap.png")
    looked_at = {k: v for k, v in usual.items() if "features" in v[0]}
    _parts(looked_at, out)


def _parts(runs: dict[str, Rows], out: Path) -> None:
    """Plots what enters the last hint convolution, and how much of the gradients is the hint's."""
    features = {
        f"{_label(k).partition('/')[0]} {part}": [(r["step"], r["features"][part]) for r in rows]
        for k, rows in runs.items()
        for part in ("hint", "constant")
    }
    title = "what enters the last hint convolution (rms)"
    line_plot(features, title, log=True).save(out / "convergence_features.png")
    gradients = {
        f"{_label(k).partition('/')[0]} {layer}": [
            (r["step"], r["layers"][layer]["hint"] / max(r["layers"][layer]["noise"], 1e-12))
            for r in rows
        ]
        for k, rows in runs.items()
        for layer in ("hint conv 7", "trainable copy")
    }
    title = "gradient due to the hint / its noise"
    line_plot(gradients, title, log=True).save(out / "convergence_gradients.png")


def _figures(rows: Rows) -> str:
    """Returns the step of adherence 0.7, the meter's step, and the last adherences."""
    reached = next((r["step"] for r in rows if r["adherence"] >= ADHERENCE), None)
    fields = Reading.__dataclass_fields__  # the runs are older than some of them
    readings = [Reading.from_dict({k: r[k] for k in fields if k in r}) for r in rows]
    empty = {r["step"]: round(r["adherence_empty"], 3) for r in rows if "adherence_empty" in r}
    full = {r["step"]: round(r["adherence"], 3) for r in rows if r["step"] in empty}
    return f".7 at {reached}; meter says {convergence_step(readings)}; prompt {full}; empty {empty}"


def _rows(path: Path) -> Rows:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _series(rows: Rows, name: str) -> list[tuple[float, float]]:
    return [(r["step"], r[name]) for r in rows]


def _label(name: str) -> str:
    """`balanced/0`: those before the "/" share a colour."""
    return f"{name.partition('_')[0]}/{name[-1]}"


if __name__ == "__main__":
    main()
