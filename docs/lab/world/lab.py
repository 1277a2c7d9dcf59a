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
from weights import Weights

LOG_EVERY = 100  # steps
#: A step counts as at most this many seconds, so that a paused process loses no time.
LONGEST_STEP = 20.0


@dataclass(frozen=True)
class Run:
    """Where a run keeps its state and results, and what it computes on."""

    folder: Path
    device: torch.device
    #: What modules compute in; bfloat16 suits CPUs with matrix units (AMX), where it more than doubles the speed.
    dtype: torch.dtype = torch.float32

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
        """Returns the context in which nets compute: bfloat16 on a GPU, else the modules' own dtype."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def fit_in(self, pictures: Tensor) -> Tensor:
        """Returns pictures or latents (B, C, H, W) as modules take them."""
        return pictures.to(self.dtype).contiguous(memory_format=torch.channels_last)


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
    #: Beginnings of the names of weights that AdamW trains, for they are no matrices between hidden layers.
    plain: tuple[str, ...] = ()


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
    weights = Weights.of(module, run.dtype)
    optimizers = weights.optimizers(plan.rate, plan.weight_decay, plan.plain)
    loop = _Loop(weights, [w.detach().clone() for w in weights.kept], optimizers, generator)
    loop.restore(run.load(f"{name}.pt"))
    last = saved = time.time()
    snapshot, running = None, None
    while loop.elapsed < plan.seconds:
        share = loop.elapsed / plan.seconds
        loop.set_rate(plan.rate * min(1, (loop.step + 1) / plan.warmup) * _cosine(share))
        loss = loss_of(loop.step)
        loop.take_step(loss, plan.decay)
        running = loss.detach() if running is None else running.lerp(loss.detach(), 0.02)
        loop.elapsed += min(time.time() - last, LONGEST_STEP)
        last = time.time()
        if loop.step % LOG_EVERY == 0:
            value = float(running)
            run.log(
                stage=name, step=loop.step, loss=round(value, 5), seconds=round(loop.elapsed, 1)
            )
            if math.isfinite(value):
                snapshot = loop.copy_weights()
            elif snapshot is not None:
                loop.go_back(snapshot)
                running = None
        if time.time() - saved > plan.save_every:
            saved = time.time()
            run.save(f"{name}.pt", loop.state())
            run.log(stage=name, step=loop.step, **report(weights.fill(average, loop.average)))
    run.save(f"{name}.pt", loop.state())
    weights.fill(average, loop.average)
    run.log(stage=name, step=loop.step, done=True, loss=None if running is None else float(running))
    run.log(stage=name, **report(average))
    return average


def _cosine(share: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(share, 1))) * 0.99 + 0.01


@dataclass
class _Loop:
    """All that a stage needs to go on."""

    weights: Weights
    average: list[Tensor]
    optimizers: list[torch.optim.Optimizer]
    generator: torch.Generator
    step: int = 0
    elapsed: float = 0.0
    brake: float = 1.0

    def set_rate(self, rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * self.brake

    def take_step(self, loss: Tensor, decay: float) -> None:
        loss.backward()
        self.weights.take_gradients()
        nn.utils.clip_grad_norm_(self.weights.kept, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.weights.give_back()
        self.step += 1
        kept = min(decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, [w.detach() for w in self.weights.kept], 1 - kept)

    def copy_weights(self) -> list[Tensor]:
        return [t.detach().clone() for t in (*self.weights.kept, *self.average)]

    @torch.no_grad()
    def go_back(self, snapshot: list[Tensor]) -> None:
        """Returns to finite weights, and takes half the rate from now on."""
        torch._foreach_copy_([*self.weights.kept, *self.average], snapshot)
        self.weights.give_back()
        self.brake /= 2
        for optimizer in self.optimizers:
            optimizer.state.clear()

    def state(self) -> dict[str, object]:
        return {
            "weights": [w.detach() for w in self.weights.kept],
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "numbers": [self.step, self.elapsed, self.brake],
        }

    @torch.no_grad()
    def restore(self, state: dict[str, object] | None) -> None:
        if state is None:
            return
        torch._foreach_copy_(
            [*self.weights.kept, *self.average], [*state["weights"], *state["average"]]
        )
        self.weights.give_back()
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.generator.set_state(state["generator"].cpu())
        self.step, self.elapsed, self.brake = state["numbers"]
