"""The embedded model's figures on held-out samples: `python docs/lab/evaluate.py [--count 48] [--out FILE]`.

`--target-gain` prints instead what `HintRouting.target_gain(2)` comes to at several CFG scales.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from target_gain import responses
from torch import Tensor

from cnet_core.diffusion.samplers import last
from cnet_core.engine.stack import ControlUnit
from cnet_core.tiny.data import (
    SHAPES,
    Scene,
    Shape,
    distance_field,
    outline,
    random_scene,
    regular_polygon,
)
from cnet_core.tiny.demo import DEFAULT_PROMPT, ROWS
from cnet_core.tiny.measure import iou, nearest_colour, saturation, shape_mask
from cnet_core.tiny.model import SIDE, TinyStableDiffusion

#: Held-out scenes come from this seed; the recipes use others.
SEED = 4242
BATCH = 12
STEPS, CFG_SCALE = 20, 7.5
#: Where `--target-gain` measures: around the end of the range in which cond takes part, and above.
TARGET_CFG_SCALES = (1.2, 1.5, 3.0, 7.5, 15.0)

Figures = dict[str, dict[str, float]]


def main() -> None:
    """Prints the figures as JSON, and writes them to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--target-gain", action="store_true")
    args = parser.parse_args()
    model = TinyStableDiffusion.load()
    report = target_gains(model) if args.target_gain else whole_runs(model, args.count)
    text = json.dumps(report, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def whole_runs(model: TinyStableDiffusion, count: int) -> dict[str, Figures]:
    """Returns the figures of whole runs."""
    return {
        "with prompt": evaluate(
            model, count, ("no_control", "both", "cond_only", "cond_only_soft")
        ),
        "empty prompt": evaluate(model, count, tuple(ROWS), empty=True),
        "new shapes": new_shapes(model, count),
    }


def target_gains(model: TinyStableDiffusion) -> dict[str, Figures]:
    """Returns least, median, mean and largest response to `target_gain(2)` by CFG scale, with one text and with two."""
    report: dict[str, Figures] = {}
    for name, same_text in (("same text", True), ("different texts", False)):
        found = responses(model, 2.0, TARGET_CFG_SCALES, same_text=same_text)
        report[name] = {
            str(scale): {
                "least": _least(r),
                "median": round(float(r.median()), 4),
                "mean": _mean(r),
                "most": -_least(-r),
            }
            for scale, r in found.items()
        }
    return report


def evaluate(
    model: TinyStableDiffusion, count: int, rows: Sequence[str], *, empty: bool = False
) -> Figures:
    """Returns adherence, saturation and share of right colours for each row over `count` held-out scenes."""
    scene = random_scene(count, torch.Generator().manual_seed(SEED))
    field = distance_field(scene, SIDE)
    prompts = [""] * count if empty else scene.prompts()
    hints = outline(field, 1.5)
    figures: Figures = {}
    for row in rows:
        pictures = draw(model, prompts, hints, row)
        mask = shape_mask(pictures)
        figures[row] = {
            "adherence": _mean(iou(mask, field < 0)),
            "saturation": _mean(saturation(pictures)),
        }
        if not empty:
            figures[row]["shape colour"] = _share(nearest_colour(pictures, mask), scene.colours)
            figures[row]["background"] = _share(nearest_colour(pictures, ~mask), scene.backgrounds)
        print(f"{'empty' if empty else 'prompt'} {row}: {figures[row]}", flush=True)
    return figures


def new_shapes(model: TinyStableDiffusion, count: int) -> Figures:
    """Returns the adherence to 2-pixel outlines of ellipses and pentagons, which training never showed."""
    scene = random_scene(count, torch.Generator().manual_seed(SEED + 1))
    figures: Figures = {}
    for name, shape in NEW_SHAPES.items():
        field = _field_of(scene, shape)
        pictures = draw(model, [DEFAULT_PROMPT] * count, outline(field, 2.0), "cond_only")
        figures[name] = {"adherence": _mean(iou(shape_mask(pictures), field < 0))}
        print(f"{name}: {figures[name]}", flush=True)
    return figures


def draw(model: TinyStableDiffusion, prompts: Sequence[str], hints: Tensor, row: str) -> Tensor:
    """Returns the pictures (N, 3, H, W), not clamped, of one row of the demonstration; picture i has seed i."""
    how = ROWS[row]
    found: list[Tensor] = []
    for begin in range(0, len(prompts), BATCH):
        part = slice(begin, begin + BATCH)
        units = (
            [ControlUnit(model.control_net, hints[part], routing=how[0], scales=how[1])]
            if how
            else []
        )
        steps = model.sample(
            prompts[part],
            steps=STEPS,
            cfg_scale=CFG_SCALE,
            seed=begin,
            side=hints.shape[-1],
            units=units,
        )
        found.append(model.decode(last(steps)))
    return torch.cat(found)


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    """Half axes 1 and 0.6; first-order distance f / |grad f|."""
    a, b = 1.0, 0.6
    value = ((u / a) ** 2 + (v / b) ** 2).sqrt()
    slope = ((u / a**2) ** 2 + (v / b**2) ** 2).sqrt() / value.clamp(min=1e-6)
    return (value - 1) / slope.clamp(min=1e-6)


NEW_SHAPES: dict[str, Shape] = {
    "ellipse": _ellipse,
    "pentagon": regular_polygon(5),
}


def _field_of(scene: Scene, shape: Shape) -> Tensor:
    return distance_field(scene, SIDE, shapes=dict.fromkeys(SHAPES, shape))


def _least(values: Tensor) -> float:
    return round(float(values.min()), 4)


def _mean(values: Tensor) -> float:
    return round(float(values.mean()), 4)


def _share(found: Sequence[str], wanted: Sequence[str]) -> float:
    return round(math.fsum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted), 4)


if __name__ == "__main__":
    main()
