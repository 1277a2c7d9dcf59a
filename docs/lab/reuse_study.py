"""What reuse saves and what it costs, on the embedded model: `python docs/lab/reuse_study.py --out DIR`.

Writes reuse.json and, with matplotlib, reuse.png. Pictures are of held-out scenes; each is compared with the one of the
same seed without reuse.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from held_out import SEED, draw_held_out
from torch import Tensor

from cnet_core.control.routing import HintRouting
from cnet_core.diffusion.samplers import last
from cnet_core.engine.reuse import NetInputs, distance, relative_change
from cnet_core.engine.stack import ControlUnit, Counts
from cnet_core.nets.controlnet import ControlNet
from cnet_core.nets.residuals import Residuals
from cnet_core.tiny.measure import iou, thing_mask
from cnet_core.tiny.model import TinyStableDiffusion

TOLERANCES = (0.0, 0.05, 0.1, 0.2, 0.3)
RUNS = tuple((sampler, steps) for sampler in ("euler", "dpmpp_2m") for steps in (20, 50))
ROUTINGS = {"cond_only": HintRouting.cond_only(), "both": HintRouting.both()}
BATCH = 12
#: Shares of the run whose errors are listed apart, by training time.
THIRDS = ("first", "second", "last")


@dataclass(frozen=True)
class Point:
    """One setting, as means over all pictures."""

    routing: str
    sampler: str
    steps: int
    tolerance: float
    saved: float  # share of ControlNet rows that were not computed
    latent_error: float  # ||latents - those without reuse|| / ||those||, by picture
    adherence: float
    adherence_lost: float  # against no reuse; 0.01 is one point


def main() -> None:
    """Runs the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=24, help="pictures (default: 24)")
    parser.add_argument("--routing", choices=ROUTINGS, nargs="+", default=list(ROUTINGS))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = TinyStableDiffusion.load()
    points = [p for routing in args.routing for p in curve(model, args.count, routing)]
    report = {"curve": [asdict(p) for p in points], "error": error_by_distance(model)}
    part = args.out / ".reuse.json.partial"
    part.write_text(json.dumps(report, indent=1) + "\n")
    os.replace(part, args.out / "reuse.json")
    plot(points, args.out / "reuse.png")


def curve(model: TinyStableDiffusion, count: int, routing: str) -> list[Point]:
    """Returns a point for every sampler, number of steps and tolerance."""
    points: list[Point] = []
    for sampler, steps in RUNS:
        exact, base = torch.empty(0), torch.empty(0)
        for tolerance in TOLERANCES:
            latents, followed, counts = _draw(model, count, routing, sampler, steps, tolerance)
            if not tolerance:
                exact, base = latents, followed
            points.append(
                Point(
                    routing,
                    sampler,
                    steps,
                    tolerance,
                    saved=counts.reused_rows / (counts.rows + counts.reused_rows),
                    latent_error=round(float(_apart(latents, exact).mean()), 5),
                    adherence=round(float(followed.mean()), 5),
                    adherence_lost=round(float((base - followed).mean()), 5),
                )
            )
            print(points[-1], flush=True)
    return points


def _draw(
    model: TinyStableDiffusion,
    count: int,
    routing: str,
    sampler: str,
    steps: int,
    tolerance: float,
) -> tuple[Tensor, Tensor, Counts]:
    """Returns the final latents, each picture's adherence, and what was computed."""
    true, counts = draw_held_out(count), Counts()
    prompts = true.scene.prompts()
    latents: list[Tensor] = []
    for begin in range(0, count, BATCH):
        part = slice(begin, begin + BATCH)
        unit = ControlUnit(
            model.control_net,
            true.edges[part],
            routing=ROUTINGS[routing],
            reuse_tolerance=tolerance,
        )
        run = model.sample(
            prompts[part], steps=steps, seed=begin, sampler=sampler, units=[unit], counts=counts
        )
        latents.append(last(run))
    found = torch.cat(latents)
    return found, iou(thing_mask(model.decode(found)), true.inside), counts


def error_by_distance(model: TinyStableDiffusion, count: int = 6) -> dict[str, dict[str, float]]:
    """Returns, by third of the run, how the residuals' true error goes with the distance that stands for it.

    Of every pair of steps of runs without reuse that are less than 0.3 apart: the relative error that the earlier
    step's residuals would have at the later one, divided by the distance of their latents.
    """
    ratios: dict[str, list[Tensor]] = {third: [] for third in THIRDS}
    for sampler, steps in RUNS:
        seen = _trajectory(model, count, sampler, steps)
        for index, (then, old) in enumerate(seen):
            for now, new in seen[index + 1 :]:
                far = distance(then, now)
                if float(far.max()) > 0.3:
                    break
                third = THIRDS[min(2, int(3 * (1 - float(now.timesteps[0]) / 999)))]
                ratios[third].append(relative_change(old, new) / far)
    return {third: _quantiles(torch.cat(found)) for third, found in ratios.items()}


def _trajectory(
    model: TinyStableDiffusion, count: int, sampler: str, steps: int
) -> list[tuple[NetInputs, Residuals]]:
    """Returns the ControlNet's inputs and residuals at every step of a run."""
    true = draw_held_out(count, SEED + 2)
    spy = _Spy(model.control_net)
    unit = ControlUnit(spy, true.edges, routing=ROUTINGS["cond_only"])
    last(model.sample(true.scene.prompts(), steps=steps, sampler=sampler, units=[unit]))
    return spy.seen


def _quantiles(ratios: Tensor) -> dict[str, float]:
    return {f"{q:g}": round(float(ratios.quantile(q)), 3) for q in (0.5, 0.9, 0.99)}


class _Spy:
    """A Net that notes what goes in and what comes out."""

    def __init__(self, net: ControlNet) -> None:
        self.config, self.hint_channels, self.dtype = net.config, net.hint_channels, net.dtype
        self.check_types, self.hint_features = net.check_types, net.hint_features
        self.pooled, self.close = net.pooled, net.close
        self.weights_version = self.hint_version = 0
        self._net = net
        self.seen: list[tuple[NetInputs, Residuals]] = []

    def residuals(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        scales: Sequence[float] | None = None,
        *,
        control_types: Sequence[str] | None = None,
    ) -> Residuals:
        """As ControlNet.residuals."""
        found = self._net.residuals(x, features, timesteps, context, y, scales)
        self.seen.append((NetInputs(x, timesteps, context, y).map(torch.clone), found))
        return found


def _apart(latents: Tensor, reference: Tensor) -> Tensor:
    """Returns ||latents - reference|| / ||reference|| by picture."""
    apart = (latents - reference).flatten(1).square().sum(1)
    return torch.sqrt(apart / reference.flatten(1).square().sum(1))


def plot(points: Sequence[Point], path: Path) -> None:
    """Draws latent error and lost adherence over the share of evaluations saved.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ValueError("The plot needs matplotlib: pip install matplotlib.") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for routing, sampler, steps in dict.fromkeys((p.routing, p.sampler, p.steps) for p in points):
        line = [p for p in points if (p.routing, p.sampler, p.steps) == (routing, sampler, steps)]
        saved = [100 * p.saved for p in line]
        style = {"marker": "o", "linestyle": "-" if steps == 20 else "--", "markersize": 3}
        label = f"{routing}, {sampler}, {steps} steps"
        axes[0].plot(saved, [100 * p.latent_error for p in line], label=label, **style)
        axes[1].plot(saved, [100 * p.adherence_lost for p in line], label=label, **style)
    axes[0].set_ylabel("error of the final latents (% of their norm)")
    axes[1].set_ylabel("adherence lost (points)")
    axes[1].axhline(1, color="gray", linewidth=0.8)
    for axis in axes:
        axis.set_xlabel("ControlNet evaluations saved (%)")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
