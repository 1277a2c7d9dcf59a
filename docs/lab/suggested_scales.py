"""Suggested scales on the embedded model: the predicted change against the measured one.

    python docs/lab/suggested_scales.py [--scenes 12] [--bound 0.05] [--out suggested_scales.json]

For each scene the blocks are suggested from predictions at an early, a middle and a late step. Then the scene is drawn
with all blocks, with the suggested ones, and without control. The change is that of the final latents, as a share of
the control's effect on them.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from held_out import draw_held_out
from torch import Tensor

import cnet_core as cn
from cnet_core.diffusion.noise_schedule import TIMESTEPS
from cnet_core.diffusion.samplers import last
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.measure import iou, thing_mask
from cnet_core.xray.influence import PredictWithout

SEED, STEPS, CFG, BLOCKS = 34, 10, 7.5, 13
#: The steps whose predictions are looked at, of STEPS.
LOOKED_AT = (1, 5, 9)


def main() -> None:
    """Measures and writes a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--bound", type=float, default=0.05)
    parser.add_argument("--out", type=Path, default=Path("suggested_scales.json"))
    args = parser.parse_args()
    with torch.no_grad():
        rows = Batch(args.scenes).measure(args.bound)
    args.out.write_text(json.dumps({"bound": args.bound, "scenes": rows}, indent=1) + "\n")
    print(*rows, sep="\n")


class Batch:
    """Scenes of one batch. Predictions without some blocks are computed for all of them at once, and kept."""

    def __init__(self, count: int) -> None:
        self.model = TinyStableDiffusion.load()
        true = draw_held_out(count, SEED)
        self.prompts, self.inside = true.scene.prompts(), true.inside
        self.unit = cn.ControlUnit(self.model.control_net, true.edges)
        self.context = self.model.text([""] * count + list(self.prompts))
        self.kept: dict[tuple[int, frozenset[int]], Tensor] = {}

    def measure(self, bound: float) -> list[dict[str, Any]]:
        """Returns what is suggested for each scene, what it predicts, and what the whole runs show."""
        with cn.patch_unet(self.model.unet, self.unit) as control:
            control.cfg_scale = CFG
            latents = list(self.model.sample(self.prompts, steps=STEPS, cfg_scale=CFG))
            found = [
                cn.xray.suggest_from(self.predictions(control, latents, i), BLOCKS, bound)
                for i in range(len(self.prompts))
            ]
        whole, none = latents[-1], self.draw([])
        some = {one.dropped: self.draw([self.scaled(one)]) for one in found}
        return [self.row(i, one, whole, some[one.dropped], none) for i, one in enumerate(found)]

    def predictions(
        self, control: cn.Attachment, latents: Sequence[Tensor], scene: int
    ) -> list[PredictWithout]:
        """Returns one scene's guided predictions at the steps that are looked at."""

        def predict(step: int, blocks: frozenset[int]) -> Tensor:
            if (step, blocks) not in self.kept:
                with control.leave_out(blocks):
                    self.kept[step, blocks] = self.guide(latents[step - 1], step)
            return self.kept[step, blocks][scene]

        return [lambda blocks, step=step: predict(step, blocks) for step in LOOKED_AT]

    def guide(self, x: Tensor, step: int) -> Tensor:
        """Returns the guided prediction of the batch at a step."""
        time = torch.full((2 * len(x),), TIMESTEPS - step * TIMESTEPS // STEPS - 1)
        uncond, cond = self.model.unet(torch.cat([x] * 2), time, self.context).chunk(2)
        return uncond + CFG * (cond - uncond)

    def scaled(self, found: cn.xray.Suggestion) -> cn.ControlUnit:
        """Returns the control with the suggested scales."""
        scales = cn.BlockScales.custom(found.scales())
        return cn.ControlUnit(self.unit.net, self.unit.hint, scales=scales)

    def draw(self, units: Sequence[cn.ControlUnit]) -> Tensor:
        """Returns the final latents of the batch."""
        return last(self.model.sample(self.prompts, steps=STEPS, cfg_scale=CFG, units=units))

    def row(
        self, scene: int, found: cn.xray.Suggestion, whole: Tensor, some: Tensor, none: Tensor
    ) -> dict[str, Any]:
        """Returns the figures of one scene."""
        change, effect = (float((whole - x)[scene].square().sum()) for x in (some, none))
        pictures = self.model.decode(torch.stack([x[scene] for x in (whole, some, none)]))
        inside = self.inside[scene].expand(len(pictures), -1, -1)
        return {
            "prompt": self.prompts[scene],
            "dropped": found.dropped,
            "computed": found.computed,
            "predicted": round(found.predicted, 4),
            "measured": round(math.sqrt(change / effect), 4),
            "follows": [round(float(value), 3) for value in iou(thing_mask(pictures), inside)],
        }


if __name__ == "__main__":
    main()
