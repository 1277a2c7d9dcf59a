"""Prints docs/dev/gpu.md from a run's results: `python tests/cuda/report.py RESULTS.jsonl > docs/dev/gpu.md`."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

#: Column of the bench -> its heading here.
STEP_COLUMNS = {
    "least ms": "ms, clock",
    "busy ms": "ms, kernels",
    "x UNet": "x UNet",
    "overhead / limit": "over the limit, clock",
    "overhead / limit (busy)": "over the limit, kernels",
    "operations": "operations",
    "that write": "that write",
    "peak MiB": "peak MiB",
}
PROMPT_COLUMNS = {
    "least s": "least s",
    "median s": "median s",
    "x no control": "x no control",
    "peak MiB": "peak MiB",
}
#: Two ways of the table of prompts that do the same.
PAIRS = (
    ("both", "ComfyUI: both"),
    ("cond only", "ComfyUI: on the positive alone"),
    ("cond only", "Advanced-ControlNet: uncond multiplier 0"),
)
HEAD = """\
# On a GPU
Every figure here comes from one run of `tests/cuda/run.sh` on {machine}, with torch {torch}, Python {python} and
{cores} CPU cores. `python tests/cuda/report.py docs/data/gpu.jsonl > docs/dev/gpu.md` writes this page.
"""
STEPS = """\
A step is one call of the UNet with both branches of guidance. The clock's time is the least of all rounds; the
kernels' time is what the GPU itself computes. Where the clock shows much more, the GPU waits for Python. The limit is
one more pass through the UNet's encoder and middle block on the controlled rows. Operations are ATen's, views
included; the next column has only those that write memory.
"""
PROMPTS = """\
Each prompt samples in a real ComfyUI. The peak is the memory that a prompt takes, without the weights that stay loaded.
"""

Part = Mapping[str, Any]


def main(results: str) -> None:
    """Prints the page."""
    machine, *parts = map(json.loads, Path(results).read_text().splitlines())
    print("\n".join(page(machine, parts)))


def page(machine: Mapping[str, Any], parts: Sequence[Part]) -> Iterable[str]:
    """Yields the page's paragraphs."""
    yield HEAD.format(**machine)
    yield from _tests([part for part in parts if part["part"].startswith(("tests", "train"))])
    benches = [part for part in parts if part["part"].startswith("bench")]
    yield from _tables("One step", STEPS, benches, STEP_COLUMNS)
    prompts = [part for part in parts if part["part"].startswith("prompts")]
    yield from _tables("Whole prompts", PROMPTS, prompts, PROMPT_COLUMNS)
    yield from _pairs(prompts)
    yield from _failures(parts)


def _tests(parts: Sequence[Part]) -> Iterable[str]:
    yield "## Tests and training"
    rows = {part["part"]: (_outcome(part), part.get("seconds")) for part in parts}
    yield _markdown("part", ("outcome", "seconds"), rows)
    failures = [(part.get("report") or {}).get("failures", {}) for part in parts]
    for name, message in (pair for found in failures for pair in found.items()):
        yield f"- `{name}`: {message.strip().splitlines()[0]}"


def _outcome(part: Part) -> str:
    report = part.get("report") or {}
    if "passed" in report:
        return ", ".join(f"{report[name]} {name}" for name in ("passed", "failed", "skipped"))
    losses = list(report.get("losses", {}).values())
    if part["exit"] or not losses:
        return "failed"
    return f"{len(losses)} steps, loss {_figure(losses[0])} to {_figure(losses[-1])}"


def _tables(
    heading: str, text: str, parts: Sequence[Part], columns: Mapping[str, str]
) -> Iterable[str]:
    yield f"## {heading}\n{text}"
    for part in parts:
        for table in (part.get("report") or {}).get("tables", ()):
            rows = {n: [row.get(c) for c in columns] for n, row in table["rows"].items()}
            yield f"{table['title'][0].upper()}{table['title'][1:]}:\n"
            yield _markdown("", tuple(columns.values()), rows)


def _pairs(parts: Sequence[Part]) -> Iterable[str]:
    yield "Ours over theirs, by medians (less than 1: ours is faster):\n"
    rows = {part["part"]: [_ratio(part, *pair) for pair in PAIRS] for part in parts}
    yield _markdown("", tuple(f"{ours} / {theirs}" for ours, theirs in PAIRS), rows)


def _ratio(part: Part, ours: str, theirs: str) -> float | None:
    tables = (part.get("report") or {}).get("tables") or [{"rows": {}}]
    rows = tables[0]["rows"]
    if ours not in rows or theirs not in rows:
        return None
    return rows[ours]["median s"] / rows[theirs]["median s"]


def _failures(parts: Sequence[Part]) -> Iterable[str]:
    failed = [part for part in parts if part["exit"] != 0]
    if failed:
        yield "## What did not run\n"
    for part in failed:
        lines = part.get("why", "").strip().splitlines() or ["it printed nothing"]
        yield f"- `{part['part']}`, exit status {part['exit']}: {lines[-1]}"


def _markdown(
    corner: str, columns: Sequence[str], rows: Mapping[str, Sequence[str | float | None]]
) -> str:
    lines = [[corner, *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *map(_figure, row)] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _figure(value: str | float | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main(*sys.argv[1:])
