"""TrainingSettings: every number that affects what a training computes, checked at once."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ..nets.controlnet import HintInit

Precision = Literal["fp32", "bf16", "fp16"]
Schedule = Literal["constant", "cosine", "linear"]
OptimizerName = Literal["adamw", "adamw8bit", "adafactor"]

#: The learning rate of each optimizer if none is given. Adafactor's is relative to the size of each weight.
DEFAULT_RATES: Mapping[OptimizerName, float] = {
    "adamw": 1e-5,
    "adamw8bit": 1e-5,
    "adafactor": 1e-3,
}


@dataclass(frozen=True)
class TrainingSettings:
    """What a training computes. How long it runs is not part of it, but a rate that decays ends at `decay_steps`.

    Raises:
        ValueError: a number out of range; the message names it.
    """

    batch_size: int = 4  # pictures per optimizer step, over all processes and pieces together
    accumulation: int = 1  # pieces of each process's part of a batch
    learning_rate: float | None = None  # None becomes the optimizer's own: see DEFAULT_RATES
    warmup: int = 100  # steps in which the rate rises linearly; above 0 from the first step on
    schedule: Schedule = "constant"  # of the rate after the warm-up; the others fall to 0
    decay_steps: int | None = None  # the step after which "cosine" and "linear" are at 0
    optimizer: OptimizerName = "adamw"
    lora_rank: int | None = (
        None  # of the differences to learn in each layer; None learns whole weights
    )
    weight_decay: float = 1e-2
    beta1: float = 0.9
    beta2: float = 0.999
    max_grad_norm: float = 1.0
    prompt_dropout: float = (
        0.5  # paper, section 3.4: half of the prompts are replaced by the empty one
    )
    hint_init: HintInit = "balanced"
    min_snr: float | None = (
        None  # gamma of Hang et al., arXiv 2303.09556; None weights all timesteps equally
    )
    ema: float = 0.0  # decay of the averaged weights, which become the result; 0: no average
    flip: bool = False  # mirror every other visit, picture and hint together
    precision: Precision = "fp32"
    gradient_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.learning_rate is None:
            rate = DEFAULT_RATES.get(self.optimizer, DEFAULT_RATES["adamw"])
            object.__setattr__(self, "learning_rate", rate)
        for name, (holds, allowed) in LIMITS.items():
            value = getattr(self, name)
            if not holds(value):
                raise ValueError(f"`{name}` is {value}; it must be {allowed}.")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"`batch_size` is {self.batch_size}; it must be a multiple of `accumulation` {self.accumulation}."
            )

        self._check_schedule()
        self._check_betas()

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        assert self.learning_rate is not None
        return self.learning_rate

    @property
    def decays(self) -> bool:
        """Whether the learning rate depends on when the run ends."""
        return self.schedule != "constant"

    def rate(self, step: int) -> float:
        """Returns the learning rate of a step, counted from 1: a linear rise, then as the schedule says.

        "cosine" and "linear" are as in diffusers.optimization, whose first step after the warm-up has the whole rate.
        """
        rise = min(1.0, step / max(self.warmup, 1))
        return self.peak_rate * rise * self._decay(step)

    def _decay(self, step: int) -> float:
        """Returns the factor of the schedule at a step: 1 until the warm-up is over, 0 after `decay_steps`."""
        if self.decay_steps is None or not self.decays:
            return 1.0
        after = max(0, step - 1 - self.warmup)
        share = min(1.0, after / (self.decay_steps - self.warmup))
        return 1 - share if self.schedule == "linear" else (1 + math.cos(math.pi * share)) / 2

    def _check_schedule(self) -> None:
        """Raises ValueError if the schedule has no end, or one within the warm-up."""
        if self.decays and self.decay_steps is None:
            raise ValueError(
                f"`schedule` is {self.schedule!r}, which falls to 0 at a step; give that step as `decay_steps`."
            )
        if not self.decays and self.decay_steps is not None:
            raise ValueError(
                f"`decay_steps` is {self.decay_steps}, but the `schedule` 'constant' does not decay; omit it."
            )
        if self.decay_steps is not None and self.decay_steps <= self.warmup:
            raise ValueError(
                f"`decay_steps` is {self.decay_steps}; it must be above `warmup`, which is {self.warmup}."
            )

    def _check_betas(self) -> None:
        """Raises ValueError if betas are given to an optimizer that has none."""
        if self.optimizer != "adafactor":
            return
        usual = TrainingSettings.beta1, TrainingSettings.beta2
        for name, value, default in zip(
            ("beta1", "beta2"), (self.beta1, self.beta2), usual, strict=True
        ):
            if value != default:
                raise ValueError(
                    f"`{name}` is {value}, but the `optimizer` 'adafactor' has no betas; omit it."
                )

    def ema_decay(self, step: int) -> float:
        """Returns the average's decay at a step, counted from 1; small at first, to forget the start."""
        return min(self.ema, (1 + step) / (10 + step))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingSettings":
        """Returns the settings of `to_dict()`'s values; unknown names raise ValueError."""
        unknown = sorted(values.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown training settings: {', '.join(unknown)}.")
        return cls(**values)


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: math.isfinite(value) and low <= value <= high


def _one_of(choices: tuple[str, ...]) -> tuple[Callable[[Any], bool], str]:
    return (lambda value: value in choices), " or ".join(map(repr, choices))


#: Name -> (predicate of allowed values, what is allowed).
LIMITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "batch_size": (_within(1, 2**16), "at least 1"),
    "accumulation": (_within(1, 2**16), "at least 1"),
    "learning_rate": (_within(1e-12, 1), "above 0 and at most 1"),
    "warmup": (_within(0, 2**31), "0 or more"),
    "schedule": _one_of(get_args(Schedule)),
    "decay_steps": (
        lambda value: value is None or _within(1, 2**31)(value),
        "at least 1, or left out",
    ),
    "optimizer": _one_of(get_args(OptimizerName)),
    "lora_rank": (
        lambda value: value is None or _within(1, 2**16)(value),
        "at least 1, or left out",
    ),
    "weight_decay": (_within(0, 1), "within 0..1"),
    "beta1": (_within(0, 0.99999), "at least 0 and below 1"),
    "beta2": (_within(0, 0.99999), "at least 0 and below 1"),
    "max_grad_norm": (_within(1e-12, 1e12), "above 0"),
    "prompt_dropout": (_within(0, 1), "within 0..1"),
    "hint_init": _one_of(get_args(HintInit)),
    "min_snr": (lambda value: value is None or _within(1e-6, 1e6)(value), "above 0, or omitted"),
    "ema": (_within(0, 0.9999999), "at least 0 and below 1"),
    "precision": _one_of(get_args(Precision)),
    "seed": (_within(0, 2**63 - 1), "0 or more"),
}
