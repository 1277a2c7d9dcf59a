"""Trains the embedded world, stage after stage, each within its time: `python docs/lab/world/train.py --folder RUN`.

The same command continues a stopped run: each stage keeps its state below `--folder`. Results go to `--out`
as soon as a stage is over; `--start` holds results to begin from.
"""

import argparse
import json
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import autoencoder
import base
import classifier
import compiling
import control
import torch
from arguments import parse
from assess import assess
from base import Sizes, TextToNoise
from fast_bfloat16 import replace_slow_functions
from fitting import M, Plan, WorldRun, write_text
from kind_classifier import KindClassifier
from part_files import export_parts, read_part, write_part
from torch import nn

from cnet_core.nets.controlnet import ControlNet
from cnet_core.tiny.autoencoder import Autoencoder

RATES = {"autoencoder": 6e-4, "classifier": 2e-3, "base": 1.2e-3, "control": 1e-3}
#: The share of a stage's time for which its rate stays, before it falls along a cosine.
HOLD = {"autoencoder": 0.0, "classifier": 0.0, "base": 0.0, "control": 0.35}
#: The part that a stage makes, where it has another name.
PARTS = {"control": "control_net"}
#: The sheets of pictures that come back.
SHEETS = ("words", "hints", "empty")
#: What AdamW trains in each stage: first and last layers, text, zero convolutions, hint encoders.
PLAIN = {
    "autoencoder": ("net.encoder.1.", "net.encoder.7.", "net.decoder.0.", "net.decoder.12."),
    "classifier": ("",),
    "base": ("text.", "unet.input_blocks.0.", "unet.out."),
    "control": (
        "net.input_blocks.0.",
        "net.input_hint_block.",
        "net.zero_convs.",
        "net.middle_block_out.",
    ),
}


@dataclass
class Lab:
    """The parts that are there so far."""

    run: WorldRun
    out: Path
    minutes: dict[str, float]
    sizes: dict[str, Sizes]
    scenes: int
    start: Path | None
    save_every: float  # seconds
    failed: list[str] = field(default_factory=list[str])  # stages

    def run_stages(self, stages: Sequence[str]) -> None:
        """Runs stages; one that fails is logged and the next tries, without the part of the failed one."""
        run_stage: dict[str, Callable[[], None]] = {
            "autoencoder": self.train_autoencoder,
            "classifier": self.train_classifier,
            "base": self.train_base,
            "control": self.train_control,
            "assess": self.assess,
        }
        for name in stages:
            try:
                run_stage[name]()
            except Exception:
                self.failed.append(name)
                self.run.log(stage=name, failed=traceback.format_exc()[-3000:])
            self.export()

    def make_plan(self, name: str, decay: float) -> Plan:
        """Returns a stage's plan."""
        return Plan(
            seconds=60 * self.minutes[name],
            rate=RATES[name],
            decay=decay,
            save_every=self.save_every,
            hold=HOLD[name],
            plain=PLAIN[name],
        )

    def train_autoencoder(self) -> None:
        start = self.begin("autoencoder", Autoencoder())
        net = autoencoder.train(
            self.run, self.make_plan("autoencoder", decay=0.999), start and start.state_dict()
        )
        self.keep("autoencoder", net)

    def train_classifier(self) -> None:
        encoder = self.load_part("autoencoder", Autoencoder())
        start = self.begin("classifier", KindClassifier())
        plan = self.make_plan("classifier", decay=0.99)
        self.keep("classifier", classifier.train(self.run, plan, encoder, start))

    def train_base(self) -> None:
        encoder = self.load_part("autoencoder", Autoencoder())
        start = self.begin("base", TextToNoise())
        plan, sizes = self.make_plan("base", decay=0.998), self.sizes["base"]
        self.keep("base", base.train(self.run, plan, sizes, encoder, "base", start))

    def train_control(self) -> None:
        encoder = self.load_part("autoencoder", Autoencoder())
        model = self.load_part("base", TextToNoise())
        start = self.begin("control_net", ControlNet(model.unet.config))
        plan, sizes = self.make_plan("control", decay=0.998), self.sizes["control"]
        self.keep(
            "control_net", control.train(self.run, plan, sizes, encoder, model, "control", start)
        )

    def assess(self) -> None:
        """Measures what there is."""
        model = self.load_if_there("base", TextToNoise())
        net = self.load_if_there("control_net", ControlNet(model.unet.config)) if model else None
        report, failed = assess(
            self.run,
            self.load_part("autoencoder", Autoencoder()),
            self.load_if_there("classifier", KindClassifier()),
            model,
            net,
            self.scenes,
        )
        write_text(self.run.folder / "figures.json", json.dumps(report, indent=1))
        if failed:
            raise RuntimeError(f"These parts of the assessment failed: {', '.join(failed)}.")

    def begin(self, name: str, empty: M) -> M | None:
        """Returns the part to begin from, None for a new one."""
        if self.start is None:
            return None
        tensors = read_part(self.start, name)
        if tensors is None:
            self.run.log(part=name, start="new", because=f"{self.start} does not have it")
            return None
        empty.load_state_dict(tensors)
        return empty.to(self.run.device)

    def keep(self, name: str, net: nn.Module) -> None:
        """Writes a finished part."""
        write_part(self.run.folder, name, net.state_dict())

    def load_part(self, name: str, empty: M) -> M:
        """Returns a finished part as it will be used: from float16, fixed."""
        found = self.load_if_there(name, empty)
        if found is None:
            raise FileNotFoundError(f"{name} is missing: its stage failed or did not finish.")
        return found

    def load_if_there(self, name: str, empty: M) -> M | None:
        """Returns a finished part; None if there is none, or only an older one since its stage failed."""
        failed = name in {PARTS.get(stage, stage) for stage in self.failed}
        tensors = None if failed else read_part(self.run.folder, name)
        if tensors is None:
            return None
        empty.load_state_dict(tensors)
        return empty.float().to(self.run.device).train(False).requires_grad_(False)

    def export(self) -> None:
        """Copies what is there to `--out`: parts, at most three sheets, the report."""
        self.out.mkdir(parents=True, exist_ok=True)
        export_parts(self.run.folder, self.out)
        for name in SHEETS:
            if (sheet := self.run.folder / f"sheet_{name}.webp").exists():
                shutil.copy(sheet, self.out)
        report: dict[str, object] = {"figures": {}}
        report["log"] = (self.run.folder / "log.jsonl").read_text().splitlines()
        if (self.run.folder / "figures.json").exists():
            report["figures"] = json.loads((self.run.folder / "figures.json").read_text())
        if (self.run.folder / "compiling.log").exists():
            report["compiling"] = (self.run.folder / "compiling.log").read_text()[-20000:]
        write_text(self.out / "report.json", json.dumps(report, indent=1))


def main() -> None:
    """Runs the stages; exits with the names of those that failed."""
    args = parse(__doc__)
    lab = begin_lab(args)
    lab.run.log(device=str(args.device), torch=torch.__version__, minutes=args.minutes)
    compiled = {n: (s.batch, s.side) for n, s in args.sizes.items() if n in args.stages}
    process = compiling.prepare(compiled, lab.run)
    try:
        lab.run_stages(args.stages)
    finally:
        if process is not None:
            lab.run.log(compiler=compiling.finish(process, args.wait))
    lab.run.log(finished=True, failed=lab.failed)
    lab.export()
    if lab.failed:
        sys.exit(f"failed: {', '.join(lab.failed)}")


def begin_lab(args: argparse.Namespace) -> Lab:
    """Makes the run's folder, sets what is faster in torch, and returns a lab without parts."""
    args.folder.mkdir(parents=True, exist_ok=True)
    if args.bfloat16:
        replace_slow_functions()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    return Lab(
        run=WorldRun(args.folder, args.device, torch.bfloat16 if args.bfloat16 else torch.float32),
        out=args.out or args.folder / "out",
        minutes=args.minutes,
        sizes=args.sizes,
        scenes=args.scenes,
        start=args.start,
        save_every=args.save_every,
    )


if __name__ == "__main__":
    main()
