"""`cnet bench --training-memory`: what a step of `cnet train` holds at its peak, by its settings.

The step is the trainer's own, on tensors without data. Attention counts as the fused kernel computes it, which keeps
no square of tokens. bitsandbytes and Adafactor need data, so their moments stand there in their sizes. The LoRA is
that of a fresh copy, whose fixed weights are the UNet's own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..nets.config import UNetConfig
from ..nets.controlnet import HINT_DOWNSCALE, ControlNet
from ..nets.low_rank import LowRankControlNet
from ..nets.unet import UNet
from ..training.base import Text
from ..training.locked import lock
from ..training.objective import Objective
from ..training.optimizers import make_optimizer
from ..training.settings import TrainingSettings
from ..training.step import NoisyBatch, losses
from ..training.trainer import DTYPES, make_trainable
from .live_bytes import LiveBytes
from .settings import TOKENS, BenchSettings
from .tables import Table

#: Row -> settings of the training.
WAYS = {
    "fp32": TrainingSettings(),
    "bf16": TrainingSettings(precision="bf16"),
    "bf16, checkpointed": TrainingSettings(precision="bf16", gradient_checkpointing=True),
    "bf16, checkpointed, adamw8bit": TrainingSettings(
        precision="bf16", gradient_checkpointing=True, optimizer="adamw8bit"
    ),
    "bf16, checkpointed, adafactor": TrainingSettings(
        precision="bf16", gradient_checkpointing=True, optimizer="adafactor"
    ),
    "bf16, checkpointed, LoRA of rank 16": TrainingSettings(
        precision="bf16", gradient_checkpointing=True, lora_rank=16
    ),
}
#: Of AdamW8bit: weights that share a scale, and the fewest in a tensor whose moments are cut to 8 bits.
BLOCK, SMALLEST = 256, 4096
GIB = 2**30
COLUMNS = ("peak GiB", "locked", "trained", "gradients", "moments", "rest at the peak")
NOTES = (
    "In GiB, counted on tensors; kernels' own memory and allocators' gaps come on top.",
    "rest: activations, the batch, and copies of the weights in the precision.",
)


@dataclass(frozen=True)
class Held:
    """Bytes of a step: what stays between steps, and the most there is within one."""

    peak: int
    locked: int
    trained: int
    gradients: int
    moments: int

    @property
    def rest(self) -> int:
        """What comes and goes within a step."""
        return self.peak - self.locked - self.trained - self.gradients - self.moments


def section(settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of what a step holds."""
    rows: dict[str, tuple[float | None, ...]] = {}
    for way, training in WAYS.items():
        held = count_step(training, settings.config, settings.side, settings.pictures)
        figures = (held.peak, held.locked, held.trained, held.gradients, held.moments, held.rest)
        rows[way] = tuple(bytes / GIB for bytes in figures)
        tell(len(rows), len(WAYS))
    return Table(
        title=f"what a step of cnet train holds, {settings.family} at {settings.side} px, batch {settings.pictures}",
        columns=COLUMNS,
        rows=rows,
        chart="peak GiB",
        notes=NOTES,
    )


def count_step(training: TrainingSettings, config: UNetConfig, side: int, batch: int) -> Held:
    """Returns what a step holds that finds the optimizer's state; nothing is computed for it.

    Args:
        training: precision, checkpointing and optimizer count.
        config: the nets' shape.
        side: of the pictures, in pixels.
        batch: pictures in a step.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        return measure_step(training, config, side, batch)


def measure_step(training: TrainingSettings, config: UNetConfig, side: int, batch: int) -> Held:
    """As `count_step`, but of a step that is taken."""
    base = _Base(lock(_unet(config, DTYPES[training.precision])), Objective())
    net = ControlNet(config)
    if training.lora_rank is not None:
        net = LowRankControlNet(net, training.lora_rank)
    net = make_trainable(net, base.unet, training)
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    drawn = _batch(base, side, batch)
    with LiveBytes([*base.unet.parameters(), *net.parameters()]) as memory:
        optimizer = _optimizer(training, trained)
        moments = optimizer.settle()
        optimizer.zero_grad()
        memory.forget_peak()
        dtype, half = DTYPES[training.precision], training.precision != "fp32"
        with torch.autocast("cpu", dtype=dtype, enabled=half):
            losses(net, base, drawn).mean().backward()
        optimizer.step()
    weights = _bytes(trained)
    return Held(memory.peak, _bytes(base.unet.parameters()), weights, weights, moments)


@dataclass(frozen=True)
class _Base:
    """A base with one text for all prompts, and no autoencoder: latents are its pictures."""

    unet: UNet
    objective: Objective

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        """Returns the text of prompts."""
        config = self.unet.config
        y = None if config.y_dim is None else torch.randn(len(prompts), config.y_dim)
        return Text(torch.randn(len(prompts), TOKENS, config.context_dim), y)

    def decode(self, latents: Tensor) -> Tensor:
        """Returns the latents."""
        return latents


class _Real:
    """The optimizer itself."""

    def __init__(self, training: TrainingSettings, parameters: list[nn.Parameter]) -> None:
        self._optimizer = make_optimizer(parameters, training)
        self._parameters = parameters

    def settle(self) -> int:
        """Makes the moments, and returns their bytes."""
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)
        self._optimizer.step()
        kept = (t for state in self._optimizer.state.values() for t in state.values())
        return _bytes(t for t in kept if isinstance(t, Tensor))

    def zero_grad(self) -> None:
        self._optimizer.zero_grad()

    def step(self) -> None:
        self._optimizer.step()


class _Sized:
    """An optimizer that needs data: only its moments, in their sizes."""

    def __init__(
        self, parameters: list[nn.Parameter], size: Callable[[nn.Parameter], list[Tensor]]
    ) -> None:
        self._parameters, self._size = parameters, size
        self._moments: list[Tensor] = []

    def settle(self) -> int:
        """Makes the moments, and returns their bytes."""
        self._moments = [moment for p in self._parameters for moment in self._size(p)]
        return _bytes(self._moments)

    def zero_grad(self) -> None:
        """There is no gradient yet."""

    def step(self) -> None:
        """It works weight by weight, within little memory of its own."""


def _size_eight_bit(parameter: nn.Parameter) -> list[Tensor]:
    """Returns AdamW8bit's moments: two bytes a weight, and two numbers a block."""
    count = parameter.numel()
    large = count >= SMALLEST
    moments = torch.empty(2, count, dtype=torch.uint8 if large else None)
    return [moments, torch.empty(2, ceil(count / BLOCK) if large else 0)]


def _size_adafactor(parameter: nn.Parameter) -> list[Tensor]:
    """Returns Adafactor's sums over the last two dimensions; of vectors a number a weight."""
    shape = parameter.shape
    if len(shape) < 2:
        return [torch.empty(shape)]
    return [torch.empty(*shape[:-1], 1), torch.empty(*shape[:-2], 1, shape[-1])]


#: Optimizers that need data -> the sizes of their moments.
_SIZES = {"adamw8bit": _size_eight_bit, "adafactor": _size_adafactor}


def _unet(config: UNetConfig, dtype: torch.dtype) -> UNet:
    """Returns a UNet that is made in a dtype: tensors without data cannot be cast in their module."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return UNet(config)
    finally:
        torch.set_default_dtype(before)


def _optimizer(training: TrainingSettings, parameters: list[nn.Parameter]) -> _Real | _Sized:
    size = _SIZES.get(training.optimizer)
    return _Real(training, parameters) if size is None else _Sized(parameters, size)


def _batch(base: _Base, side: int, batch: int) -> NoisyBatch:
    latent = side // HINT_DOWNSCALE
    noisy = torch.randn(batch, base.unet.config.in_channels, latent, latent)
    return NoisyBatch(
        noisy,
        target=torch.randn_like(noisy),
        timesteps=torch.full((batch,), 500),
        text=base.text([""] * batch, side, side),
        hints=torch.rand(batch, 3, side, side),
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
