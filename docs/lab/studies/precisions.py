"""Trains the embedded model's ControlNet in fp32, bf16 and fp16, from one seed, and prints what each run ends with.

    python docs/lab/studies/precisions.py --out DIR --steps 150

Each run is `cnet train --tiny` on the CPU; one that was stopped goes on. fp16 may be slow there: torch has no fast
gradient of an fp16 convolution for CPUs. The table in docs/dev/measurements.md is its output.
"""

import argparse
import json
import time
from pathlib import Path
from typing import get_args

import torch

from cnet_core.cli import main as cnet
from cnet_core.training.folder import METRICS
from cnet_core.training.settings import Precision

#: At 40 px the deepest strided convolution sees more than one pixel, whose bf16 gradient oneDNN gets wrong.
SIDE, BATCH = 40, 8


def main() -> None:
    """Runs the three trainings one after another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--precision", choices=get_args(Precision), action="append")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for precision in args.precision or get_args(Precision):
        print(precision, json.dumps(train_once(args.out / precision, precision, args.steps)))


def train_once(out: Path, precision: str, steps: int) -> dict[str, float]:
    """Trains in one precision and returns the last figures."""
    begin = time.monotonic()
    numbers = ["--size", SIDE, "--batch-size", BATCH, "--steps", steps, "--save-every", steps]
    options = ["--tiny", "--out", out, "--precision", precision, "--device", "cpu", *numbers]
    if out.exists():
        options = ["--resume", "--out", out, "--steps", steps, "--device", "cpu"]
    if cnet(["train", *map(str, options)]):
        raise SystemExit(f"the run in {precision} failed")
    rows = [json.loads(line) for line in (out / METRICS).read_text().splitlines()]
    reading = [row["reading"] for row in rows if "reading" in row][-1]
    shown = [row for row in rows if "adherence" in row][-1]
    return {
        "steps": reading["step"],
        "seconds": round(time.monotonic() - begin),
        "loss": round(reading["loss"], 4),
        "gap": round(reading["gap"], 4),
        "adherence": round(shown["adherence"], 3),
        "adherence_empty_prompt": round(shown["adherence_empty_prompt"], 3),
    }


if __name__ == "__main__":
    main()
