"""What the stages share: the run's folder and log, the loop with its time budget, averages, resuming."""

import json
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

LOG_EVERY = 100  # steps


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state and results, and what it computes on."""

    folder: Path
    device: torch.device

    def log(self, **row: object) -> None:
        """Prints one line of JSON and appends it to the log."""
        text = json.dumps({"at": round(time.time() - STARTED, 1), **row})
        print(text, flush=True)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(text + "\n")

    def save(self, name: str, state: object) -> None:
        """Writes a state whole or not at all."""
        path = self.folder / name
        torch.save(state, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)

    def load(self, name: str) -> dict[str, object] | None:
        """Returns a saved state, None if there is none."""
        path = self.folder / name
        return (
            torch.load(path, map_location=self.device, weights_only=True) if path.exists() else None
        )

    def generator(self, seed: int) -> torch.Generator:
        """Returns a generator on the run's device."""
        return torch.Generator(self.device).manual_seed(seed)

    def autocast(self) -> torch.autocast:
        """Returns the context in which nets compute: bfloat16 on a GPU, else float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


STARTED = time.time()


@dataclass(frozen=True)
class Plan:
    """One stage's budget and rates."""

    seconds: float
    rate: float
    warmup: int = 200
    decay: float = 0.9995
    weight_decay: float = 1e-2
    save_every: float = 60.0


def fit(
    name: str,
    module: nn.Module,
    loss_of: Callable[[int], Tensor],
    plan: Plan,
    run: Run,
    generator: torch.Generator,
    report: Callable[[nn.Module], dict[str, object]] = lambda average: {},
) -> nn.Module:
    """Trains `module` in place until its time is over, and returns its average; continues a saved state.

    Nothing waits for the GPU between two logged steps. When weights are not finite, the last finite ones return.
    """
    average = deepcopy(module).requires_grad_(False)
    weights = [p for p in module.parameters() if p.requires_grad]
    kept = [
        a for a, p in zip(average.parameters(), module.parameters(), strict=True) if p.requires_grad
    ]
    optimizer = torch.optim.AdamW(
        weights,
        plan.rate,
        (0.9, 0.99),
        weight_decay=plan.weight_decay,
        fused=run.device.type == "cuda",
    )
    loop = _Loop(module, average, optimizer, generator)
    loop.restore(run.load(f"{name}.pt"))
    begin, saved, snapshot, running = time.time() - loop.elapsed, time.time(), None, None
    while (spent := time.time() - begin) < plan.seconds:
        rate = plan.rate * min(1, (loop.step + 1) / plan.warmup) * _cosine(spent / plan.seconds)
        for group in optimizer.param_groups:
            group["lr"] = rate * loop.brake
        loss = loss_of(loop.step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        loop.step += 1
        with torch.no_grad():
            decay = min(plan.decay, (1 + loop.step) / (10 + loop.step))
            torch._foreach_lerp_(kept, weights, 1 - decay)
            running = loss.detach() if running is None else running.lerp(loss.detach(), 0.02)
        if loop.step % LOG_EVERY == 0:
            value = float(running)
            run.log(stage=name, step=loop.step, loss=round(value, 5), seconds=round(spent, 1))
            if math.isfinite(value):
                snapshot = [t.detach().clone() for t in (*weights, *kept)]
            elif snapshot is not None:
                torch._foreach_copy_([*weights, *kept], snapshot)
                optimizer.state.clear()
                loop.brake, running = loop.brake / 2, None
        if time.time() - saved > plan.save_every:
            loop.elapsed, saved = time.time() - begin, time.time()
            run.save(f"{name}.pt", loop.state())
            run.log(stage=name, step=loop.step, **report(average))
    loop.elapsed = plan.seconds
    run.save(f"{name}.pt", loop.state())
    run.log(stage=name, step=loop.step, done=True, loss=None if running is None else float(running))
    run.log(stage=name, **report(average))
    return average


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(share, 1))) * 0.99 + 0.01


@dataclass
class _Loop:
    """All that a stage needs to go on."""

    module: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    elapsed: float = 0.0
    brake: float = 1.0

    def state(self) -> dict[str, object]:
        return {
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "numbers": [self.step, self.elapsed, self.brake],
        }

    def restore(self, state: dict[str, object] | None) -> None:
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.elapsed, self.brake = state["numbers"]
