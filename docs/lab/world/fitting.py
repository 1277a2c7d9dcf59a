"""What the stages share: the run's folder and log, the loop with its time budget, averages, resuming."""

import json
import math
import os
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from trained_weights import Weights

#: A module of some class: what comes in comes out.
M = TypeVar("M", bound=nn.Module)
LOG_EVERY = 100  # steps
#: A step counts as at most this many seconds, so that a paused process loses no time.
LONGEST_STEP = 20.0
#: Weights that are not finite halve the rate, this often; then the stage fails.
MOST_HALVINGS = 8


@dataclass(frozen=True)
class WorldRun:
    """Where a run keeps its state and results, and what it computes on."""

    folder: Path
    device: torch.device
    #: What modules compute in; bfloat16 suits CPUs with matrix units (AMX): see fast_bfloat16.py.
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

    def load(self, name: str) -> dict[str, Any] | None:
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

    def cast(self, pictures: Tensor) -> Tensor:
        """Returns pictures or latents (B, C, H, W) as modules take them."""
        return pictures.to(self.dtype).contiguous(memory_format=torch.channels_last)


STARTED = time.time()


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    os.replace(new, path)


@dataclass(frozen=True)
class Plan:
    """One stage's budget and rates."""

    seconds: float
    rate: float
    warmup: int = 200
    decay: float = 0.9995
    weight_decay: float = 1e-2
    save_every: float = 60.0
    #: The share of the time for which the rate stays; then it falls along a cosine.
    hold: float = 0.0
    #: Beginnings of the names of weights that AdamW trains, for they are no matrices between hidden layers.
    plain: tuple[str, ...] = ()

    def rate_at(self, step: int, elapsed: float) -> float:
        """Returns the rate: it warms up, stays, then falls along a cosine to 1 %."""
        falling = max(0.0, min(elapsed / self.seconds, 1) - self.hold) / (1 - self.hold)
        share = 0.5 * (1 + math.cos(math.pi * falling)) * 0.99 + 0.01
        return self.rate * min(1, (step + 1) / self.warmup) * share

    def seconds_left(self, name: str, run: WorldRun) -> float:
        """Returns what a stage has left of its time, according to its saved state."""
        state = run.load(f"{name}.pt")
        return self.seconds - (state["numbers"][1] if state else 0.0)


def fit(
    name: str,
    module: M,
    loss_of: Callable[[int], Tensor],
    plan: Plan,
    run: WorldRun,
    generator: torch.Generator,
    report: Callable[[M], dict[str, object]] = lambda average: {},
) -> M:
    """Trains `module` in place until its time is over, and returns its average; continues a saved state.

    Only finite weights are saved and returned. Nothing waits for the GPU between two logged or saved steps.

    Raises:
        ArithmeticError: weights are not finite at first, or still not after MOST_HALVINGS of the rate.
    """
    average = deepcopy(module).requires_grad_(False)
    loop = _Loop.begin(name, module, plan, run, generator)
    last = saved = time.time()
    while loop.elapsed < plan.seconds:
        loop.take_step(loss_of(loop.step), plan)
        last = loop.count_time_since(last)
        if loop.step % LOG_EVERY == 0:
            run.log(stage=name, step=loop.step, seconds=round(loop.elapsed, 1), **loop.check())
        if last - saved > plan.save_every:
            saved = last
            run.log(stage=name, step=loop.step, **loop.save(name, run, average), **report(average))
    figures = loop.save(name, run, average)
    run.log(stage=name, step=loop.step, done=True, **figures, **report(average))
    return average


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
    running: Tensor | None = None  # average of the last losses
    finite: list[Tensor] | None = None  # weights and averages at the last check

    @classmethod
    def begin(
        cls, name: str, module: nn.Module, plan: Plan, run: WorldRun, generator: torch.Generator
    ) -> "_Loop":
        """Returns a loop where its saved state ended; `module` has its weights in the run's dtype from now on."""
        weights = Weights.of(module, run.dtype)
        optimizers = weights.optimizers(plan.rate, plan.weight_decay, plan.plain)
        loop = cls(weights, [w.detach().clone() for w in weights.kept], optimizers, generator)
        loop.restore(run.load(f"{name}.pt"))
        loop.check()
        return loop

    def take_step(self, loss: Tensor, plan: Plan) -> None:
        loss.backward()
        value = loss.detach()
        self.running = value if self.running is None else self.running.lerp(value, 0.02)
        self.weights.take_gradients()
        nn.utils.clip_grad_norm_(self.weights.kept, 1.0)
        rate = plan.rate_at(self.step, self.elapsed) * self.brake
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        self.weights.give_back()
        self.step += 1
        kept = min(plan.decay, (1 + self.step) / (10 + self.step))
        latest = [w.detach() for w in self.weights.kept]
        torch._foreach_lerp_(self.average, latest, 1 - kept)  # pyright: ignore[reportPrivateUsage]

    def count_time_since(self, last: float) -> float:
        """Adds the time since the last step to the stage's, and returns what time it is now."""
        now = time.time()
        self.elapsed += min(now - last, LONGEST_STEP)
        return now

    def save(self, name: str, run: WorldRun, average: nn.Module) -> dict[str, object]:
        """Saves the state with finite weights, fills the module `average`, and returns what `check` returned."""
        figures = self.check()
        run.save(f"{name}.pt", self.state())
        self.weights.fill(average, self.average)
        return figures

    @torch.no_grad()
    def check(self) -> dict[str, object]:
        """Returns the loss; goes back to the last finite weights, at half the rate, if these are not finite.

        Raises:
            ArithmeticError: no earlier weights were finite, or the rate was halved MOST_HALVINGS times already.
        """
        kept = [*self.weights.kept, *self.average]
        if bool(torch.stack([t.isfinite().all() for t in kept]).all()):
            self.finite = [t.detach().clone() for t in kept]
            return {"loss": None if self.running is None else round(float(self.running), 5)}
        if self.finite is None:
            raise ArithmeticError("The weights are not finite, and none before them were.")
        if self.brake <= 0.5**MOST_HALVINGS:
            raise ArithmeticError(
                f"The weights are not finite, even after {MOST_HALVINGS} halvings of the rate: "
                "check the loss, or lower the stage's rate and begin in a new folder."
            )
        torch._foreach_copy_(kept, self.finite)  # pyright: ignore[reportPrivateUsage]
        self.weights.give_back()
        self.brake, self.running = self.brake / 2, None
        for optimizer in self.optimizers:
            optimizer.state.clear()
        return {"not finite": True, "rate": self.brake}

    def state(self) -> dict[str, object]:
        return {
            "weights": [w.detach() for w in self.weights.kept],
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
            "numbers": [self.step, self.elapsed, self.brake],
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        saved = [*state["weights"], *state["average"]]
        torch._foreach_copy_([*self.weights.kept, *self.average], saved)  # pyright: ignore[reportPrivateUsage]
        self.weights.give_back()
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.generator.set_state(state["generator"].cpu())
        self.step, self.elapsed, self.brake = state["numbers"]
