"""Compiled forward passes, prepared by a process of its own while other stages train; without it, eager ones.

`python compiling.py FOLDER NAME:BATCH:SIDE …` is that process. It fills the compiler's cache, and writes what it
measured.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from fitting import WorldRun
from torch import Tensor, nn
from trained_weights import Weights

#: Calls that are timed.
ROUNDS = 20


def prepare(stages: dict[str, tuple[int, int]], run: WorldRun) -> subprocess.Popen[bytes] | None:
    """Starts the process for stages name -> (batch, side), one after the other; None without a GPU or stages."""
    if run.device.type != "cuda" or not stages:
        return None
    words = [f"{name}:{batch}:{side}" for name, (batch, side) in stages.items()]
    with (run.folder / "compiling.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, __file__, str(run.folder), *words],
            env=_environment(run.folder),
            stdout=log,
            stderr=log,
        )


def finish(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Waits for the process, ends it after that time, and returns its exit code; None if it had to be ended."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
        return None


class CompiledWhenReady:
    """Calls a module, compiled as soon as that is prepared and pays for the rest of the stage's time."""

    def __init__(self, module: nn.Module, name: str, run: WorldRun, seconds_left: float) -> None:
        self.run, self.name, self.module = run, name, module
        self.end = time.time() + seconds_left
        self.call: Callable[..., Tensor] = module
        self.undecided = run.device.type == "cuda"
        self.calls = 0
        if self.undecided:
            os.environ.update(_environment(run.folder))

    def __call__(self, batch: object) -> Tensor:
        self.calls += 1
        if self.undecided and self.calls % 20 == 1:
            self._decide()
        try:
            return self.call(batch)
        except Exception as error:
            if self.call is self.module:
                raise
            self.run.log(stage=self.name, compiled=False, because=repr(error)[:300])
            self.call = self.module
            return self.call(batch)

    def _decide(self) -> None:
        path = self.run.folder / f"compiled_{self.name}.json"
        if not path.exists():
            return
        self.undecided = False
        found = json.loads(path.read_text())
        left = self.end - time.time()
        pays = (left - found["again_s"]) / found["compiled_ms"] > 1.05 * left / found["eager_ms"]
        self.run.log(stage=self.name, compiled=pays, **found)
        if pays:
            self.call = torch.compile(self.module, dynamic=False)


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}


def _main() -> None:
    folder = Path(sys.argv[1])
    run = WorldRun(folder, torch.device("cuda"))
    torch.set_float32_matmul_precision("high")
    for word in sys.argv[2:]:
        name, batch, side = word.split(":")
        found = _measure(name, int(batch), int(side), run)
        path = folder / f"compiled_{name}.json"
        path.with_suffix(".new").write_text(json.dumps(found))
        os.replace(path.with_suffix(".new"), path)
        print(name, found, flush=True)


def _measure(name: str, count: int, side: int, run: WorldRun) -> dict[str, float]:
    from base import Stream, TextToNoise
    from control import ControlLoss

    from cnet_core.nets.controlnet import ControlNet
    from cnet_core.tiny.autoencoder import Autoencoder

    base = TextToNoise().to(run.device)
    module = ControlLoss(base, ControlNet.from_unet(base.unet)) if name == "control" else base
    module = module.to(run.device)
    Weights.of(module, run.dtype)  # the memory format that training has
    encoder, generator = Autoencoder().to(run.device), run.generator(1)
    stream = Stream(encoder, run, generator, hints=name == "control", pool=0)
    batch = stream.draw(side, count, 0.5)

    def seconds(call: Callable[..., Tensor], rounds: int) -> float:
        torch.cuda.synchronize()
        begin = time.time()
        for _ in range(rounds):
            module.zero_grad(set_to_none=True)
            with run.autocast():
                loss = call(batch)
            loss.backward()
        torch.cuda.synchronize()
        return time.time() - begin

    first = seconds(torch.compile(module, dynamic=False), 1)
    torch.compiler.reset()
    compiled = torch.compile(module, dynamic=False)
    again = seconds(compiled, 1)
    seconds(module, 3)
    return {
        "first_s": round(first, 1),
        "again_s": round(again, 1),
        "compiled_ms": round(1000 * seconds(compiled, ROUNDS) / ROUNDS, 2),
        "eager_ms": round(1000 * seconds(module, ROUNDS) / ROUNDS, 2),
    }


if __name__ == "__main__":
    _main()
