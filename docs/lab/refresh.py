"""Makes all that depends on the embedded model again, in order: `python docs/lab/refresh.py [--only NAME …] [--list]`.

Pictures are written where pages show them. Numbers go to `build/refresh`, each step's output to NAME.txt; each step
names the pages that cite them, to be changed by hand. `--quick` runs the smallest form of each step, and writes only to
`build/refresh/quick`. The last two steps need `--comfyui`, `--python` and `--chromium` (see docs/dev/pictures.md).
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "refresh"


@dataclass(frozen=True)
class Step:
    """One command, and who cites what it makes.

    `{out}` is `choose_folder`, and so are `{docs}` and `{images}` when quick.
    """

    command: str
    pages: Mapping[str, str]  # page -> what of it
    less: str = ""  # makes the command quick
    copies: Mapping[str, str] = field(default_factory=dict[str, str])  # in `{out}` -> in the tree
    clears: str = ""  # in `{out}`: a run of an earlier model, which would be continued
    in_comfyui: bool = False


STEPS: dict[str, Step] = {
    "figures": Step(
        "python docs/lab/evaluate.py --out {out}/figures.json --sheets {out} {classifier}",
        {
            "cnet_core/tiny/MODEL_CARD.md": "Figures, picture",
            "docs/paper.md": "Figures 5c, 5d, 5 and 7; d; the last sentence",
        },
        less="--count 1",
        copies={"sheet_words.webp": "docs/images/world.webp"},
    ),
    "bars": Step(
        "python docs/lab/bars.py {out}/figures.json", {"cnet_core/tiny/MODEL_CARD.md": "Figures"}
    ),
    "target_gain": Step(
        "python docs/lab/evaluate.py --target-gain", {"docs/profiles.md": "Target gain"}
    ),
    "claims": Step(
        "python docs/lab/claims.py noise prompts", {"docs/paper.md": "Figures 8b and 8"}
    ),
    "reuse": Step(
        "python docs/lab/reuse_study.py --out {out} --count 8 --routing cond_only",
        {"docs/speed.md": "the table", "docs/dev/measurements.md": "Reuse between steps"},
        less="--count 1",
        copies={"reuse.png": "docs/images/reuse.png"},
    ),
    "suggested_scales": Step(
        "python docs/lab/suggested_scales.py --out {out}/suggested_scales.json",
        {"docs/dev/measurements.md": "Suggested scales"},
        less="--scenes 1",
    ),
    "residual_limit": Step(
        "python docs/lab/residual_limit.py --out {out}/residual_limit.json",
        {"docs/dev/measurements.md": "A limit on residuals"},
        less="--scenes 1 --seeds 1",
        copies={"residual_limit.json": "docs/lab/studies/residual_limit.json"},
    ),
    "contact_sheet": Step(
        "python docs/lab/figures.py contact_sheet --out {docs}",
        {"README.md": "picture", "docs/paper.md": "Figures 5 and 7"},
        less="--quick",
    ),
    "gain": Step(
        "python docs/lab/figures.py gain --out {images}",
        {"docs/schedules.md": "picture", "docs/paper.md": "picture"},
        less="--quick",
    ),
    "pictures": Step(
        "python docs/pictures.py --out {images}",
        {
            "docs/prompt_in_charge.md": "picture",
            "docs/follow_loosely.md": "picture",
            "docs/schedules.md": "picture",
            "docs/tiled_upscale.md": "picture",
        },
        less="follow_loosely",
    ),
    "banner": Step("python docs/banner.py --out {images}", {"docs/index.md": "picture"}),
    "layouts": Step(
        "python docs/data_layouts.py --out {images}", {"docs/training_data.md": "five"}
    ),
    "xray": Step(
        "python docs/examples/xray.py {images}/xray.png",
        {"docs/xray.md": "picture", "docs/no_effect.md": "picture"},
    ),
    "training": Step(
        "python -m cnet_core.cli train --tiny --out {out}/first",
        {"docs/training.md": "Three steps: the time and adherence of the run"},
        less="--steps 2 --size 32 --batch-size 1",
        clears="first",
    ),
    **{
        f"low_rank_{rank or 'whole'}": Step(
            f"python docs/lab/studies/low_rank.py train --out {{out}}/low_rank{rank and ' --rank '}{rank}",
            {"docs/training.md": "the table of ranks", "docs/dev/measurements.md": "Training"},
            less="--steps 1",
            clears=f"low_rank/{f'rank_{rank}' if rank else 'whole'}",
        )
        for rank in ("", "64", "16", "4")
    },
    "low_rank": Step(
        "python docs/lab/studies/low_rank.py draw --out {out}/low_rank --picture {images}/low_rank.png",
        {"docs/training.md": "the table of ranks", "docs/dev/measurements.md": "Training"},
    ),
    "precisions": Step(
        "python docs/lab/studies/precisions.py --out {out}/precisions",
        {"docs/dev/measurements.md": "Training: the table of precisions"},
        less="--steps 1 --precision fp32",
        clears="precisions",
    ),
    "thumbnails": Step(
        "python tests/browser/make_pictures.py {comfyui} {python} {chromium}",
        {"docs/dev/pictures.md": "thumbnails, pictures of nodes, editor.png"},
        in_comfyui=True,
    ),
    "bars_gif": Step(
        "python tests/browser/make_moving_picture.py {comfyui} {python} {chromium}",
        {"README.md": "bars.gif, bars.png"},
        in_comfyui=True,
    ),
}


def main() -> None:
    """Runs the steps, and says how long each took and who cites it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="NAME", default=list(STEPS))
    parser.add_argument("--list", action="store_true", help="only say what would run")
    parser.add_argument("--quick", action="store_true", help="to see that each step runs")
    parser.add_argument(
        "--classifier", type=Path, help="for the figures: says whether a thing is right"
    )
    parser.add_argument("--comfyui", type=Path)
    parser.add_argument("--python")
    parser.add_argument("--chromium")
    args = parser.parse_args()
    comfyui = args.comfyui and str(args.comfyui.resolve())
    hosts = {"comfyui": comfyui, "python": args.python, "chromium": args.chromium}
    classifier = f"--classifier={args.classifier.resolve()}" if args.classifier else ""
    given = {**hosts, "classifier": classifier}
    failed: list[str] = []
    for name in args.only:
        words = words_of(STEPS[name], given, quick=args.quick)
        if STEPS[name].in_comfyui and (args.quick or not all(hosts.values())):
            print(
                f"{name}: left out; it needs --comfyui, --python, --chromium, and has no quick form"
            )
            continue
        took = "" if args.list else run(name, words, quick=args.quick)
        failed += [name] if took is None else []
        outcome = "failed" if took is None else took
        print(" ".join(filter(None, (f"{name}:", outcome, shlex.join(words)))))
        for page, part in STEPS[name].pages.items():
            print(f"    {page}: {part}", flush=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def choose_folder(*, quick: bool) -> Path:
    """Returns where numbers go: quick ones never in the place of others."""
    return BUILD / "quick" if quick else BUILD


def words_of(step: Step, given: Mapping[str, str | None], *, quick: bool) -> list[str]:
    """Returns the words of a step's command."""
    tree = {"docs": ROOT / "docs", "images": ROOT / "docs" / "images"}
    build = choose_folder(quick=quick)
    folders = {"out": build, **(dict.fromkeys(tree, build) if quick else tree)}
    text = f"{step.command} {step.less if quick else ''}"
    words = (word.format(**folders, **given) for word in shlex.split(text))
    return [word for word in words if word]


def run(name: str, words: list[str], *, quick: bool) -> str | None:
    """Runs a command, with its output in NAME.txt, and returns how long it took; None if it failed."""
    build = choose_folder(quick=quick)
    build.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    if STEPS[name].clears:
        shutil.rmtree(build / STEPS[name].clears, ignore_errors=True)
    begin = time.monotonic()
    with (build / f"{name}.txt").open("w") as output:
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        return None
    if not quick:
        for source, target in STEPS[name].copies.items():
            shutil.copyfile(build / source, ROOT / target)
    return f"{time.monotonic() - begin:.0f} s"


if __name__ == "__main__":
    main()
