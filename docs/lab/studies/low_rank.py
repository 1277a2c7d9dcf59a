"""Trains the embedded model's ControlNet whole and in low ranks, and draws adherence against steps.

    python docs/lab/studies/low_rank.py train --out DIR --rank 16
    python docs/lab/studies/low_rank.py draw --out DIR --picture low_rank.png

Without `--rank` the whole net learns. Each run is `cnet train --tiny` on the CPU, from one seed; a run that was
stopped continues. `draw` prints a table of the adherence every EVERY steps, with how many numbers each run trains.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from cnet_core import ControlNet
from cnet_core.cli import main as cnet
from cnet_core.nets.low_rank import LowRankControlNet
from cnet_core.tiny.model import TINY
from cnet_core.training.folder import METRICS
from cnet_core.training.plots import line_plot

SIDE, BATCH, EVERY = 40, 8, 50
RANKS = (None, 64, 16, 4)


def main() -> None:
    """Runs one training, or draws all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("train", "draw"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rank", type=int)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.task == "train":
        train_once(args.out / name_of(args.rank), args.rank, args.steps)
        return
    found = {rank: rows for rank in RANKS if (rows := read_rows(args.out / name_of(rank)))}
    curves = {
        label_of(rank): [(row["step"], row["adherence"]) for row in rows]
        for rank, rows in found.items()
    }
    if args.picture:
        line_plot(curves, "adherence by steps").save(args.picture)
    for rank, rows in found.items():
        figures = " | ".join(f"{row['adherence']:.2f}" for row in rows)
        print(f"| {label_of(rank)} | {count_trained(rank) / 1e6:.2f} M | {figures} |")


def train_once(out: Path, rank: int | None, steps: int) -> None:
    """Trains, or continues."""
    numbers = ["--size", SIDE, "--batch-size", BATCH, "--save-every", EVERY, "--ema", 0]
    low = [] if rank is None else ["--lora-rank", rank]
    options = ["--tiny", "--out", out, "--device", "cpu", "--steps", steps, *numbers, *low]
    if out.exists():
        options = ["--resume", "--out", out, "--steps", steps, "--save-every", EVERY]
    if cnet(["train", *map(str, options)]):
        raise SystemExit(f"the run {out} failed")


def read_rows(out: Path) -> list[dict[str, Any]]:
    """Returns the rows of a run that measured its adherence."""
    file = out / METRICS
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    return [row for row in rows if "adherence" in row]


def count_trained(rank: int | None) -> int:
    """Returns how many numbers a run trains."""
    net = ControlNet(TINY)
    if rank is None:
        return sum(weight.numel() for weight in net.parameters())
    return sum(weight.numel() for weight in LowRankControlNet(net, rank).learned.values())


def name_of(rank: int | None) -> str:
    return "whole" if rank is None else f"rank_{rank}"


def label_of(rank: int | None) -> str:
    return "whole" if rank is None else f"rank {rank}"


if __name__ == "__main__":
    main()
