"""The embedded model's figures: `python docs/lab/evaluate.py [--count 96] [--parts hints empty] [--out FILE]`.

`true_pictures` and `words` use four times as many scenes, `large` half as many. Whether the thing is right needs
`--classifier`, a file of docs/lab/world/train.py. `--sheets` writes pictures to look at. `--target-gain` prints instead
what `HintRouting.target_gain(2)` comes to at several CFG scales. `bars.py` compares the file with what the model should
reach.
"""

import argparse
import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from assessment import PARTS, Assessment, Figures
from kind_classifier import KindClassifier
from PIL import Image
from target_gain import responses
from torch import Tensor, cat

from cnet_core.tiny.model import TinyStableDiffusion

#: Where `--target-gain` measures: around the end of the range in which cond takes part, and above.
TARGET_CFG_SCALES = (1.2, 1.5, 3.0, 7.5, 15.0)


def main() -> None:
    """Prints each figure as soon as it is known, and writes all to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=96, help="scenes with hints (default: 96)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="keeps the others of --out")
    parser.add_argument("--out", type=Path, help="a JSON file")
    parser.add_argument("--classifier", type=Path, metavar="FILE")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER")
    parser.add_argument("--target-gain", action="store_true")
    args = parser.parse_args()
    model = TinyStableDiffusion.load()
    if args.target_gain:
        print(json.dumps(target_gains(model), indent=2))
        return
    assessment = Assessment(
        model,
        args.classifier and KindClassifier.load(args.classifier),
        args.count,
        partial(write_sheet, args.sheets) if args.sheets else None,
    )
    report = read_report(args.out) if args.parts else {}
    for name, figures in assessment.measure(args.parts or list(PARTS)):
        print(f"{name}: {json.dumps(figures)}", flush=True)
        report[name] = figures
        if args.out:
            write_report(args.out, report)


def target_gains(model: TinyStableDiffusion) -> dict[str, dict[str, Figures]]:
    """Returns least, median, mean and largest response to `target_gain(2)` by CFG scale, with one text and with two."""
    report: dict[str, dict[str, Figures]] = {}
    for name, same_text in (("same text", True), ("different texts", False)):
        found = responses(model, 2.0, TARGET_CFG_SCALES, same_text=same_text)
        report[name] = {
            str(scale): {
                "least": round(float(r.min()), 4),
                "median": round(float(r.median()), 4),
                "mean": round(float(r.mean()), 4),
                "most": round(float(r.max()), 4),
            }
            for scale, r in found.items()
        }
    return report


def read_report(path: Path | None) -> dict[str, Figures]:
    """Returns the figures of an earlier run, none without a file."""
    return json.loads(path.read_text()) if path and path.is_file() else {}


def write_report(path: Path, report: dict[str, Figures]) -> None:
    """Writes the figures, whole or not at all."""
    part = path.with_name(f".{path.name}.partial")
    part.write_text(json.dumps(report, indent=1) + "\n")
    os.replace(part, path)


def write_sheet(folder: Path, name: str, rows: Sequence[Tensor]) -> None:
    """Writes rows of pictures (B, 3, H, W) as `sheet_NAME.webp`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [cat(list(row.float().clamp(0, 1)), dim=2) for row in rows]
    width = max(line.shape[2] for line in lines)
    sheet = cat([F.pad(line, (0, width - line.shape[2])) for line in lines], dim=1)
    values = (sheet * 255).round().byte().permute(1, 2, 0).cpu()
    Image.fromarray(np.asarray(values)).save(folder / f"sheet_{name}.webp", quality=90, method=6)


if __name__ == "__main__":
    main()
