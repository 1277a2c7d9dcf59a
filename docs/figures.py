"""The figures of docs/paper.md and docs/schedules.md: `python docs/figures.py [NAME …] [--out docs/images]`.

Names: profiles, gain, contact_sheet, costs, convergence; none means all. All but the last are computed as they are
drawn (`contact_sheet` is `cnet demo`); `convergence` draws runs of docs/studies/convergence.py, kept in docs/data.
Needs matplotlib: `pip install ".[docs]"`.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import cnet_core as cn
from cnet_core.bench.training_step import FINE_TUNE, WAYS, cost
from cnet_core.cli import main as cnet
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.demo import drawn_hint

mpl.use("Agg")
DOCS = Path(__file__).parent
DATA = DOCS / "data"
STYLE = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e3",
    "axes.prop_cycle": mpl.cycler(
        color=["#3b6fb6", "#d1622b", "#4a9a62", "#8a5fb0", "#b08a2e", "#6b6b70"]
    ),
    "svg.hashsalt": "cnet",
}

#: name -> (profile, line style, line width)
PROFILES: dict[str, tuple[cn.BlockScales, str, float]] = {
    "uniform": (cn.BlockScales.uniform(), "-", 1.5),
    "soft, webui: 0.825^(12-i)": (cn.BlockScales.soft(), "-", 4),
    "logspace: 10^(-1+i/12)": (cn.BlockScales.logspace(), "--", 1.5),
    "resolution: 8/h": (cn.BlockScales.resolution(), "-", 1.5),
    "resolution_raw: 64/h": (cn.BlockScales.resolution(normalised=False), "-", 1.5),
}
#: name -> routing
ROUTINGS = {
    "both": cn.HintRouting.both(),
    "weighted(1, 0.5)": cn.HintRouting.weighted(1.0, 0.5),
    "cond_only": cn.HintRouting.cond_only(),
    "uncond_only": cn.HintRouting.uncond_only(),
    "target_gain(2)": cn.HintRouting.target_gain(2.0),
}
CFG_SCALES = (1.0, 1.5, 3.0, 5.0, 7.5, 10.0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the figures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(FIGURES))
    if unknown:
        parser.error(f"no figure is called {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name in args.names or FIGURES:
            path = args.out / f"{name}.png"
            FIGURES[name](path)
            print(path, flush=True)


def profiles(path: Path) -> None:
    """The scale of each of SD1.x's 13 blocks at 512 pixels, in every profile."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), width_ratios=(5, 3), layout="constrained")
    sides = cn.SD15.block_sizes(64, 64)
    for color, (name, (scales, style, width)) in zip(_colors(), PROFILES.items(), strict=False):
        for panel in panels if name == "uniform" else panels[int("raw" in name) :][:1]:
            values = scales.values(sides)
            panel.plot(
                range(13), values, style, color=color, lw=width, marker="o", ms=4, label=name
            )
    for panel, top, step in zip(panels, (1.08, 8.6), (1, 3), strict=True):
        ticks = range(0, 13, step)
        panel.set_xticks(ticks, [f"{i}\n{sides[i]:.0f}" for i in ticks])
        panel.set(xlabel="block (12 = middle), and its latent side h at 512 px", ylim=(0, top))
        panel.legend(frameon=False, fontsize=9)
    panels[0].set_title("How much of the control each block gets", loc="left")
    panels[1].set_title("… by the formula as printed", loc="left")
    _save(figure, path)


def gain(path: Path) -> None:
    """Total gain g*c + (1-g)*m against the CFG scale: lines by the formula, points measured on the embedded model."""
    figure, axes = plt.subplots(figsize=(7.5, 4.4), layout="constrained")
    scale = torch.linspace(1, CFG_SCALES[-1], 200)
    strengths = {0.02: "full", 1.0: "none"}
    measured = {s: measured_gains(CFG_SCALES, s) for s in strengths}
    for color, (name, routing) in zip(_colors(), ROUTINGS.items(), strict=False):
        axes.plot(scale, [_total(routing, float(g)) for g in scale], color=color, label=name)
        for strength, fill in strengths.items():
            points = measured[strength][name]
            axes.plot(CFG_SCALES, points, "o", color=color, ms=6, fillstyle=fill)
    axes.plot([], [], "o", color="k", ms=6, label="measured, strength 0.02")
    axes.plot([], [], "o", color="k", ms=6, fillstyle="none", label="measured, strength 1")
    axes.set(xlabel="CFG scale g", ylabel="total gain of the control", ylim=(-9.5, 10.5))
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_title("κ = g·c + (1-g)·m, with gains c (cond) and m (uncond)", loc="left")
    _save(figure, path)


def measured_gains(
    cfg_scales: Sequence[float], strength: float, timestep: int = 500
) -> dict[str, list[float]]:
    """Returns, by routing, how often the control's plain effect is in the guided noise at each CFG scale.

    Embedded model, empty prompt in both branches: the projection of (guided noise with control - without) on (noise
    of one branch with control of the same strength - without).
    """
    model = TinyStableDiffusion.load()
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    context, hint = model.text(["", ""]), drawn_hint()

    def rows(routing: cn.HintRouting, strength: float, cfg_scale: float) -> tuple[Tensor, Tensor]:
        unit = cn.ControlUnit(model.control_net, hint, strength, routing)
        with cn.patch_unet(model.unet, unit) as attachment, torch.no_grad():
            attachment.cfg_scale = cfg_scale
            uncond, cond = model.unet(x, torch.full((2,), timestep), context).chunk(2)
        return uncond, cond

    plain = rows(cn.HintRouting.both(), 0.0, 1.0)[1]
    effect = rows(cn.HintRouting.both(), strength, 1.0)[1] - plain

    def response(routing: cn.HintRouting, cfg_scale: float) -> float:
        uncond, cond = rows(routing, strength, cfg_scale)
        found = uncond + cfg_scale * (cond - uncond) - plain
        return float((found * effect).sum() / effect.square().sum())

    return {name: [response(way, g) for g in cfg_scales] for name, way in ROUTINGS.items()}


def contact_sheet(path: Path) -> None:
    """`cnet demo`: one outline, seven ways to apply it, with a prompt (above) and without (below)."""
    with tempfile.TemporaryDirectory() as folder:
        if cnet(["demo", "--out", folder]) != 0:
            sys.exit("figures.py: `cnet demo` failed.")
        shutil.copyfile(Path(folder) / "contact_sheet.png", path)


def costs(path: Path) -> None:
    """Operations and peak memory of one training step of SD1.5, 512 pixels, batch 4, as multiples of a fine-tune's."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
    found = {way: cost(way, cn.SD15, 512, 4) for way in WAYS}
    whole = found[FINE_TUNE]
    for panel, title, ratios, paper in (
        (panels[0], "operations", [c.flops / whole.flops for c in found.values()], 1.34),
        (panels[1], "peak memory", [c.peak_bytes / whole.peak_bytes for c in found.values()], 1.23),
    ):
        bars = panel.barh(list(found), ratios, 0.6, color=_colors()[: len(found)])
        panel.bar_label(bars, fmt="%.2f", padding=3)
        panel.axvline(paper, color="#333333", ls="--", lw=1)
        panel.text(paper + 0.02, 4.3, f"the paper:\n{paper}", va="bottom", fontsize=9)
        panel.set_title(title, loc="left")
        panel.set(xlabel="times a fine-tune of the whole UNet", xlim=(0, 1.6))
        panel.grid(visible=False, axis="y")
    panels[0].invert_yaxis()
    _save(figure, path)


def convergence(path: Path) -> None:
    """Loss and adherence over the training steps, from docs/data/convergence/*.jsonl."""
    files = sorted((DATA / "convergence").glob("*.jsonl"))
    if not files:
        sys.exit(
            f"figures.py: {DATA / 'convergence'} holds no runs; docs/studies/convergence.py makes them."
        )
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(7, 5), sharex=True, layout="constrained")
    for file in files:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        color = _colors()[0 if file.name.startswith("released") else 1]
        steps = [row["step"] for row in rows]
        upper.plot(steps, [row["adherence"] for row in rows], color=color, label=_once(upper, file))
        lower.plot(steps[1:], [row["train_loss"] for row in rows[1:]], color=color)
    upper.set(ylabel="adherence (IoU)", ylim=(0, 1))
    upper.legend(frameon=False, title="hint encoder's initialisation")
    lower.set(ylabel="training loss", xlabel="optimizer steps")
    _save(figure, path)


FIGURES: dict[str, Callable[[Path], None]] = {
    "profiles": profiles,
    "gain": gain,
    "contact_sheet": contact_sheet,
    "costs": costs,
    "convergence": convergence,
}


def _total(routing: cn.HintRouting, cfg_scale: float) -> float:
    uncond, cond = routing.gains(("uncond", "cond"), cfg_scale)
    return cfg_scale * cond + (1 - cfg_scale) * uncond


def _once(axes: Axes, file: Path) -> str:
    """Returns a label for the first run of each initialisation; one with _ is not shown."""
    name = file.name.split("_")[0]
    return f"_{name}" if name in axes.get_legend_handles_labels()[1] else name


def _colors() -> list[str]:
    return list(STYLE["axes.prop_cycle"].by_key()["color"])


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
