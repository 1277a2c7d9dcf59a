"""The figures of docs/paper.md and docs/schedules.md: `python docs/lab/figures.py [NAME …] [--out docs/images]`.

Names: profiles, gain, contact_sheet, costs, convergence; none means all. What is drawn is computed first
(`contact_sheet` is `cnet demo`), but for `convergence`, which draws the readings of docs/lab/studies/convergence.py,
and the times of `costs`, which come from `cnet bench --training --side 256 --rounds 2 --json >
docs/data/training_steps.json`.
Needs matplotlib: `pip install ".[docs]"`.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

import cnet_core as cn
from cnet_core.bench.settings import BenchSettings
from cnet_core.bench.training_step import FINE_TUNE, WAYS, WIDTHS, cost
from cnet_core.cli import main as cnet
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.demo import DEFAULT_KIND
from cnet_core.tiny.drawn_hint import draw_hint

mpl.use("Agg")
DOCS = Path(__file__).parents[1]
RUNS = DOCS / "lab" / "studies" / "convergence"
STYLE = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
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
#: A net that `--quick` counts in seconds.
SMALL = replace(
    BenchSettings(width=0.1).config, channel_mult=(1, 1), num_res_blocks=1, transformer_depth=(1, 0)
)
CFG_SCALES = (1.0, 1.5, 3.0, 5.0, 7.5, 10.0)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draws the figures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--out", type=Path, default=DOCS / "images")
    parser.add_argument("--quick", action="store_true", help="a few points, to see that it runs")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.names) - set(FIGURES))
    if unknown:
        parser.error(f"no figure is called {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for name in args.names or FIGURES:
            path = args.out / f"{name}.png"
            FIGURES[name](path, args.quick)
            print(path, flush=True)


def profiles(path: Path, quick: bool) -> None:
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


def gain(path: Path, quick: bool) -> None:
    """Total gain g*c + (1-g)*m against the CFG scale: lines by the formula, points measured on the embedded model."""
    scales = CFG_SCALES[::3] if quick else CFG_SCALES
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    titles = {0.02: "a small effect (strength 0.02): as the formula says", 1.0: "strength 1"}
    line = torch.linspace(1, scales[-1], 200)
    for panel, (strength, title) in zip(panels, titles.items(), strict=True):
        measured = measure_gains(scales, strength)
        for color, (name, routing) in zip(_colors(), ROUTINGS.items(), strict=False):
            panel.plot(line, [_total(routing, float(g)) for g in line], color=color, label=name)
            panel.plot(scales, measured[name], "o", color=color, ms=6)
        panel.set_title(title, loc="left")
        panel.set(xlabel="CFG scale g", ylim=(-9.5, 10.5))
    panels[0].plot([], [], "o", color="k", ms=6, label="measured")
    panels[0].set_ylabel("how often the control counts\n$\\kappa$ = g·c + (1-g)·m")
    panels[0].legend(frameon=False, fontsize=9)
    panels[1].text(10, -1.4, "gains other than 0 and 1 saturate", ha="right", fontsize=9)
    _save(figure, path)


def measure_gains(
    cfg_scales: Sequence[float], strength: float, timestep: int = 500
) -> dict[str, list[float]]:
    """Returns, by routing, how often the control's plain effect is in the guided noise at each CFG scale.

    Embedded model, empty prompt in both branches: the projection of (guided noise with control - without) on (noise
    of one branch with control of the same strength - without).
    """
    model = TinyStableDiffusion.load()
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    context, hint = model.text(["", ""]), draw_hint(DEFAULT_KIND)[0]

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


def contact_sheet(path: Path, quick: bool) -> None:
    """`cnet demo`: no control and six ways to apply one hint, with a prompt (above) and without (below)."""
    with tempfile.TemporaryDirectory() as folder:
        if cnet(["demo", "--out", folder, "--steps", "1" if quick else "20"]) != 0:
            sys.exit("figures.py: `cnet demo` failed.")
        shutil.copyfile(Path(folder) / "contact_sheet.png", path)


def costs(path: Path, quick: bool) -> None:
    """A training step's operations and peak memory, counted, and its time, measured, over a fine-tune's, by width."""
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
    side, batch = (64, 1) if quick else (512, 4)
    configs = [SMALL] if quick else [BenchSettings(width=w).config for w in (0.2, *WIDTHS)]
    found = [{way: cost(way, config, side, batch) for way in WAYS} for config in configs]
    channels = [config.model_channels for config in configs]
    for color, way in zip(_colors(), WAYS, strict=False):
        times = _step_times(way)
        for panel, across, ratios in (
            (panels[0], channels, [c[way].flops / c[FINE_TUNE].flops for c in found]),
            (panels[1], list(times), list(times.values())),
            (panels[2], channels, [c[way].peak_bytes / c[FINE_TUNE].peak_bytes for c in found]),
        ):
            panel.plot(across, ratios, "o-", color=color, ms=5, label=way)
    for panel, title, paper in zip(
        panels, ("operations", "time", "peak memory"), (1.34, 1.34, 1.23), strict=True
    ):
        panel.axhline(paper, color="#333333", ls="--", lw=1)
        panel.annotate(
            f"the paper: {paper}",
            (0.98, paper),
            (0, -12),
            ("axes fraction", "data"),
            "offset points",
            ha="right",
            fontsize=9,
        )
        panel.set_title(title, loc="left")
        panel.set(xlabel="channels of the first level (320: SD1.5)")
    panels[0].set_ylabel("times a fine-tune of the whole UNet")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False
    )
    _save(figure, path)


def convergence(path: Path, quick: bool) -> None:
    """Loss and adherence over the training steps, from docs/lab/studies/convergence."""
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(7, 5.4), sharex=True, layout="constrained")
    for color, init in zip(_colors(), ("released", "balanced"), strict=False):
        files = sorted(RUNS.glob(f"{init}_dropout0.5_rate0.001_beta0.999_seed?.jsonl"))
        if not files:
            sys.exit(
                f"figures.py: {RUNS} holds no runs; docs/lab/studies/convergence.py makes them."
            )
        for number, file in enumerate(files):
            rows = [json.loads(line) for line in file.read_text().splitlines()]
            steps = [row["step"] for row in rows]
            label = f"{init} initialisation" if number == 0 else None
            upper.plot(
                steps, [row["adherence"] for row in rows], "o-", ms=3, color=color, label=label
            )
            losses = [row["train_loss"] for row in rows[1:]]
            lower.plot(steps[1:], losses, "o-", ms=3, color=color)
    for panel in (upper, lower):
        panel.axvspan(100, 200, color="#3b6fb6", alpha=0.1, lw=0)
    upper.set(ylabel="adherence (IoU)", ylim=(0, 1))
    upper.set_title(
        "With the released initialisation the hint is followed all at once …", loc="left"
    )
    upper.legend(
        frameon=False,
        title="of the hint encoder, 3 seeds each",
        loc="lower right",
        alignment="left",
    )
    lower.set(ylabel="training loss\n(mean of 50 steps)", xlabel="optimizer steps")
    lower.set_title("… and the loss does not show it", loc="left")
    _save(figure, path)


FIGURES: dict[str, Callable[[Path, bool], None]] = {
    "profiles": profiles,
    "gain": gain,
    "contact_sheet": contact_sheet,
    "costs": costs,
    "convergence": convergence,
}


def _total(routing: cn.HintRouting, cfg_scale: float) -> float:
    uncond, cond = routing.gains(("uncond", "cond"), cfg_scale)
    return cfg_scale * cond + (1 - cfg_scale) * uncond


def _step_times(way: str) -> dict[int, float]:
    """Returns, by channels, the time of a training step over a fine-tune's, as `cnet bench --training` took it."""
    tables = json.loads((DOCS / "data" / "training_steps.json").read_text())["tables"]
    rows = [item for table in tables for item in table["rows"].items()]
    found: dict[int, float] = {}
    for name, row in rows:
        what, _, channels = name.rpartition(", ")
        if what == way and row["x time"] is not None:
            found[int(channels.split()[0])] = row["x time"]
    return found


def _colors() -> list[str]:
    return list(STYLE["axes.prop_cycle"].by_key()["color"])


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
