"""Compares the embedded model's figures with what it should reach: `python docs/lab/bars.py FILE`.

FILE is what `evaluate.py --out` writes. Prints a table in Markdown; it says which figures are not in the file.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

Report = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Bar:
    """What one figure of a report should be. A figure is written `name: key`."""

    figure: str
    wanted: float
    of: str = ""  # divides the figure by this one
    above: str = ""  # adds this figure to `wanted`
    at_most: bool = False

    def row(self, report: Report) -> str:
        """Returns the bar's row of the table."""
        title = f"{self.figure} / {self.of}" if self.of else self.figure
        if not self.is_known(report):
            return (
                f"| {title} | {'≤' if self.at_most else '≥'} {self.wanted:.3f} | not measured | |"
            )
        found, wanted = _read(self.figure, report), self.wanted
        found = found / max(_read(self.of, report), LEAST) if self.of else found
        wanted = wanted + _read(self.above, report) if self.above else wanted
        short = found - wanted if self.at_most else wanted - found
        note = f"short by {short:.3f}" if short > 0 else "yes"
        return f"| {title} | {'≤' if self.at_most else '≥'} {wanted:.3f} | {found:.3f} | {note} |"

    def is_known(self, report: Report) -> bool:
        """Returns whether a report has all that the bar needs."""
        figures = {f"{name}: {key}" for name, keys in report.items() for key in keys}
        return {f for f in (self.figure, self.of, self.above) if f} <= figures


#: A report's last digit. No figure is divided by less.
LEAST = 1e-4
REBUILT = "autoencoder, same scenes: adherence"
PLAIN = "empty prompt, no_control: clipped"
SOFT, BOTH = "empty prompt, cond_only_soft", "empty prompt, both"
RESOLUTION, COND_ONLY = "empty prompt, cond_only_resolution", "empty prompt, cond_only"
TARGET = "empty prompt, target_gain"
BARS = (
    Bar("true: adherence", 0.97),
    Bar("true: thing colour", 0.98),
    Bar("true: ground", 0.98),
    Bar("true: thing", 0.98),
    Bar("autoencoder: adherence", 0.97),
    Bar("autoencoder: thing colour", 0.98),
    Bar("autoencoder: ground", 0.98),
    Bar("autoencoder: thing", 0.98),
    Bar("words: thing", 0.85),
    Bar("words: thing colour", 0.95, of="true: thing colour"),
    Bar("words: ground", 0.95, of="true: ground"),
    Bar("prompt, both: adherence", 0.92, of=REBUILT),
    Bar("prompt, cond_only: adherence", 0.96, of=REBUILT),
    Bar("prompt, both: thing", 0.95),
    Bar("prompt, cond_only: thing", 0.95),
    Bar("outlines drawn by hand: adherence", 0.75),
    Bar("outlines of clip art: adherence", 0.75),
    Bar("outlines of ellipses: adherence", 0.80),
    Bar("outlines of pentagons: adherence", 0.80),
    Bar(f"{COND_ONLY}: clipped", 0.15),
    Bar(f"{COND_ONLY}: clipped", 10.0, of=f"{BOTH}: clipped"),
    Bar(f"{SOFT}: clipped", 0.07, above=PLAIN, at_most=True),
    Bar(f"{SOFT}: adherence", 0.80, of=REBUILT),
    Bar(f"{RESOLUTION}: clipped", 0.07, above=PLAIN, at_most=True),
    Bar(f"{RESOLUTION}: adherence", 0.80, of=REBUILT),
    Bar(f"{TARGET}: clipped", 0.0, above=f"{SOFT}: clipped", at_most=True),
)


def table(report: Report) -> str:
    """Returns the bars as a table."""
    head = ["| figure | should be | is | reached |", "|---|---|---|---|"]
    return "\n".join([*head, *(bar.row(report) for bar in BARS)])


def _read(figure: str, report: Report) -> float:
    name, _, key = figure.rpartition(": ")
    return report[name][key]


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text())))
