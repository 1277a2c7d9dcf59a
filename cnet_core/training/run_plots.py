"""The plots of a run, from its metrics: the losses, whether the hint matters, and how closely pictures follow it."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from .meter import CONVERGED_GAP, Reading, convergence_step
from .plots import line_plot

#: Figure of a preview -> its label.
FIGURES = {
    "adherence": "with prompts",
    "adherence_empty_prompt": "without",
    "edge_match": "with prompts",
    "edge_match_empty_prompt": "without",
}
#: Points of a curve; the same as plots.PlotPoints, as lists.
Curves = dict[str, list[tuple[float, float]]]


def draw_plots(rows: Sequence[Mapping[str, Any]]) -> dict[str, Image.Image]:
    """Returns the plots of a run's metrics by file name."""
    readings = [Reading.from_dict(row["reading"]) for row in rows if "reading" in row]
    converged = convergence_step(readings)
    marks = {} if converged is None else {f"follows its hint ({converged})": float(converged)}
    found = {
        "loss.png": line_plot(_losses(rows, readings), "loss (lower is better)", marks=marks),
        "convergence.png": line_plot(
            _gains(readings),
            "How much better is the right hint?",
            marks=marks,
            levels={"enough to count": CONVERGED_GAP},
            percent=True,
        ),
    }
    figures = _figures(rows)
    if figures:
        title = "Do the pictures follow the hint?"
        found["adherence.png"] = line_plot(figures, title, marks=marks, percent=True)
    return found


def _losses(rows: Sequence[Mapping[str, Any]], readings: Sequence[Reading]) -> Curves:
    return {
        "training": [(row["step"], row["loss"]) for row in rows if "loss" in row],
        "right hint": [(r.step, r.loss) for r in readings],
        "wrong hint": [(r.step, r.wrong_loss) for r in readings],
        "no hint": [(r.step, r.plain_loss) for r in readings if r.plain_loss is not None],
    }


def _gains(readings: Sequence[Reading]) -> Curves:
    return {
        "than a wrong one": [(r.step, r.gap) for r in readings],
        "than none": [(r.step, r.gain) for r in readings if r.gain is not None],
    }


def _figures(rows: Sequence[Mapping[str, Any]]) -> Curves:
    """Returns the figures that the previews measured."""
    found: Curves = {}
    for row in rows:
        for name, label in FIGURES.items():
            if name in row:
                found.setdefault(label, []).append((row["step"], row[name]))
    return found
