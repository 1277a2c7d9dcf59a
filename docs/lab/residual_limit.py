"""An experiment: limit each block's residual by the size of the features that it joins.

    python docs/lab/residual_limit.py [--scenes 96] [--seeds 3] [--out residual_limit.json]

A residual r joins features h. With `limit` tau it becomes r * min(1, tau |h| / (gain |r|)), for each block and row;
|.| is the norm over channels and places, and the gain is that of the whole control after guidance. Does this clip
less than soft weights, the resolution schedule and target gains, at the same adherence? Pictures are drawn with
the empty prompt and cond only. Every way of control is measured on the same scenes and seeds. The limit's figures at
a rival's adherence are interpolated between the two limits around it; intervals come from resampling the scenes.
"""

import argparse
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from held_out import CFG_SCALE, STEPS, draw_held_out
from torch import Tensor

import cnet_core as cn
from cnet_core.diffusion.samplers import ddim, last
from cnet_core.nets.residuals import Residuals
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.measure import iou, saturation, thing_mask
from cnet_core.tiny.model import SIDE, starting_noise

BATCH = 24
LIMITS = (0.4, 0.8, 1.2, 1.6, 2.4, 4.8)
RIVALS = {
    "soft": (cn.HintRouting.cond_only(), cn.BlockScales.soft()),
    "resolution": (cn.HintRouting.cond_only(), cn.BlockScales.resolution()),
    **{
        f"target_gain({g})": (cn.HintRouting.target_gain(g), cn.BlockScales.uniform())
        for g in (1.5, 2.0, 3.0, 4.0)
    },
}
ROUNDS = 2000  # of resampling
WANTED = 0.2  # by which the clipped share must be lower


@dataclass(frozen=True)
class Figures:
    """What one way of control came to, scene by scene, averaged over the seeds."""

    adherence: Tensor  # (scenes,)
    clipped: Tensor  # (scenes,)


class Scenes:
    """The embedded model, and what it is to draw."""

    def __init__(self, count: int, seeds: int) -> None:
        self.model, self.seeds = TinyStableDiffusion.load(), seeds
        scenes = draw_held_out(count)
        self.hints, self.inside = scenes.edges, scenes.inside

    def measure(self, how: "tuple[cn.HintRouting, cn.BlockScales] | float") -> Figures:
        """Returns the figures of a rival, or of a limit."""
        rows: list[Tensor] = []
        for begin in range(0, len(self.hints), BATCH):
            part = slice(begin, begin + BATCH)
            for seed in range(self.seeds):
                noise = starting_noise(len(self.hints[part]), SIDE, 1000 * seed + begin)
                pictures = self.model.decode(self._sample(how, self.hints[part], noise))
                follows = iou(thing_mask(pictures), self.inside[part])
                rows.append(torch.stack([follows, saturation(pictures)], 1))
        found = torch.cat(
            [torch.stack(rows[i : i + self.seeds]).mean(0) for i in range(0, len(rows), self.seeds)]
        )
        return Figures(found[:, 0], found[:, 1])

    def _sample(
        self, how: "tuple[cn.HintRouting, cn.BlockScales] | float", hints: Tensor, noise: Tensor
    ) -> Tensor:
        if isinstance(how, float):
            return last(ddim(lambda x, t: self._predict_limited(x, t, hints, how), noise, STEPS))
        unit = cn.ControlUnit(self.model.control_net, hints, routing=how[0], scales=how[1])
        with cn.patch_unet(self.model.unet, [unit]) as control:
            control.cfg_scale = CFG_SCALE
            return last(ddim(self._predict, noise, STEPS))

    def _predict(self, x: Tensor, timesteps: Tensor) -> Tensor:
        context = self.model.text([""] * 2 * len(x))
        noise = self.model.unet(torch.cat([x, x]), torch.cat([timesteps] * 2), context)
        uncond, cond = noise.chunk(2)
        return uncond + CFG_SCALE * (cond - uncond)

    def _predict_limited(self, x: Tensor, timesteps: Tensor, hints: Tensor, limit: float) -> Tensor:
        """Guidance with limited residuals on the cond rows. The gain of cond only is CFG_SCALE."""
        unet, context = self.model.unet, self.model.text([""] * len(x))
        emb = unet.embed(timesteps, None, x.dtype)
        skips, middle = unet.encode(x, emb, context)
        uncond = unet.decode(skips, middle, emb, context)
        found = self.model.control_net(x, hints, timesteps, context)
        joined = limit_residuals(found, skips, middle, limit / CFG_SCALE)
        steered = [a + b for a, b in zip(skips, joined.skips, strict=True)]
        cond = unet.decode(steered, middle + joined.middle, emb, context)
        return uncond + CFG_SCALE * (cond - uncond)


def limit_residuals(
    found: Residuals, skips: list[Tensor], middle: Tensor, share: float
) -> Residuals:
    """Returns residuals none of which is larger than `share` of the features that it joins."""

    def limited(r: Tensor, h: Tensor) -> Tensor:
        size, most = (t.flatten(1).norm(dim=1)[:, None, None, None] for t in (r, h))
        return r * (share * most / size.clamp(min=1e-12)).clamp(max=1)

    parts = [limited(r, h) for r, h in zip(found.skips, skips, strict=True)]
    return Residuals(parts, limited(found.middle, middle))


def compare(curve: dict[float, Figures], rival: Figures, chosen: Tensor) -> float | None:
    """Returns by which share less is clipped at the rival's adherence, on some scenes; None outside the curve."""
    wanted = float(rival.adherence[chosen].mean())
    points = sorted(
        (float(f.adherence[chosen].mean()), float(f.clipped[chosen].mean())) for f in curve.values()
    )
    for (low, a), (high, b) in pairwise(points):
        if low <= wanted <= high:
            clipped = a + (b - a) * (wanted - low) / max(high - low, 1e-9)
            return 1 - clipped / max(float(rival.clipped[chosen].mean()), 1e-6)
    return None


def main() -> None:
    """Measures, and writes the curve and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("residual_limit.json"))
    args = parser.parse_args()
    with torch.no_grad():
        scenes = Scenes(args.scenes, args.seeds)
        curve = {limit: _print_figures(f"limit {limit}", scenes.measure(limit)) for limit in LIMITS}
        rivals = {name: _print_figures(name, scenes.measure(how)) for name, how in RIVALS.items()}
    generator = torch.Generator().manual_seed(0)
    everything = torch.arange(args.scenes)
    report: dict[str, dict[str, object]] = {}
    for name, rival in rivals.items():
        draws = torch.randint(args.scenes, (ROUNDS, args.scenes), generator=generator)
        found = [g for d in draws if (g := compare(curve, rival, d)) is not None]
        less = compare(curve, rival, everything)
        interval = (
            torch.tensor(found).quantile(torch.tensor([0.025, 0.975])).tolist() if found else None
        )
        report[name] = {
            "less clipped": less,
            "interval": interval,
            "rounds on the curve": len(found),
        }
        print(name, report[name])
    passed = all(
        isinstance(r["less clipped"], float)
        and r["less clipped"] >= WANTED
        and r["interval"][0] > 0
        for r in report.values()
    )
    rows = {
        str(k): {"adherence": float(f.adherence.mean()), "clipped": float(f.clipped.mean())}
        for k, f in {**curve, **rivals}.items()
    }
    args.out.write_text(
        json.dumps({"figures": rows, "comparison": report, "passed": passed}, indent=1) + "\n"
    )


def _print_figures(name: str, figures: Figures) -> Figures:
    print(
        f"{name}: adherence {figures.adherence.mean():.3f}, clipped {figures.clipped.mean():.4f}",
        flush=True,
    )
    return figures


if __name__ == "__main__":
    main()
