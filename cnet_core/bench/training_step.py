"""`cnet bench --training`: the cost of one optimizer step of training, in six ways.

A fine-tune of the whole UNet; a ControlNet with the gradients of every locked weight computed too, with those of the
locked decoder (as released), with none of them (ours), ours connected only to the middle, and, if diffusers is
installed, the step of its train_controlnet. Operations and peak memory come from tensors without data, so they are
exact at full width on any machine; time comes from running the step.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ..nets.config import UNetConfig
from ..nets.controlnet import HINT_DOWNSCALE, ControlNet
from ..nets.unet import UNet
from ..training.locked import EncoderFeatures, add_residuals, decode
from . import others
from .live_bytes import LiveBytes
from .settings import TOKENS, BenchSettings
from .tables import Table

FINE_TUNE, RELEASED, OURS = "fine-tune", "ControlNet as released", "ControlNet"
MIDDLE_ONLY, ALL_GRADIENTS = "ControlNet, middle only", "ControlNet, all gradients"
WAYS = (FINE_TUNE, ALL_GRADIENTS, RELEASED, OURS, MIDDLE_ONLY)
#: As examples/controlnet/train_controlnet.py: a UNet without gradients of weights, called with the residuals.
DIFFUSERS = "ControlNet, diffusers"
#: Default fractions of the released width: 96, 160 and 320 channels of SD1.5. A quarter,
#: 80 channels, is impossible: norms have 32 groups.
WIDTHS = (0.3, 0.5, 1.0)
MEMINFO = Path("/proc/meminfo")
#: A step runs only if its counted peak plus this fraction is free: allocators and libraries also need memory.
MARGIN = 1.15
COLUMNS = ("seconds", "x time", "TFLOP", "x FLOPs", "peak GiB", "x peak")
NOTES = (
    "x: relative to the fine-tune at the same width. Peak: weights, gradients, AdamW's state and activations, "
    "counted.",
    "Time is processor time on a CPU; it is missing where a step does not fit into free memory.",
)


@dataclass(frozen=True)
class Cost:
    """The cost of one optimizer step. Memory is that of tensors: weights, gradients, AdamW's state, activations."""

    flops: int
    peak_bytes: int


class TrainingStep:
    """One way to train, ready to take steps: nets with random weights, a batch, AdamW."""

    def __init__(
        self, way: str, config: UNetConfig, side: int, batch: int, device: torch.device | str
    ) -> None:
        if way not in (*WAYS, DIFFUSERS):
            raise ValueError(
                f"`way` is {way!r}; it must be one of {', '.join((*WAYS, DIFFUSERS))}."
            )
        self.way = way
        with torch.device(device), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.unet, self.net = self._nets(config)
            latent = side // HINT_DOWNSCALE
            self.inputs = {
                "x": torch.randn(batch, config.in_channels, latent, latent),
                "timesteps": torch.full((batch,), 500.0),
                "context": torch.randn(batch, TOKENS, config.context_dim),
            }
            if config.y_dim is not None:
                self.inputs["y"] = torch.randn(batch, config.y_dim)
            self.hint = torch.rand(batch, 3, side, side)
        trained = self.unet if self.net is None else self.net
        self.unet.requires_grad_(way in (FINE_TUNE, ALL_GRADIENTS))
        if way == RELEASED:
            # cldm.py runs encoder and middle without a graph, but the decoder with weight gradients
            self.unet.output_blocks.requires_grad_(True)
            self.unet.out.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-5)

    @property
    def weights(self) -> list[nn.Parameter]:
        """Every parameter, trained or not."""
        return [p for m in (self.unet, self.net) if m is not None for p in m.parameters()]

    def take(self) -> None:
        """Takes one step. Gradients of the released way's locked decoder are never cleared, as there."""
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def settle(self) -> None:
        """Creates what later steps find: AdamW's state, and gradients that are never cleared."""
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
        self.optimizer.step()

    def loss(self) -> Tensor:
        """Returns the mean squared error of the prediction, with its graph."""
        if self.way == DIFFUSERS:
            predicted = others.predict_with_control(self.unet, self.net, self.inputs, self.hint)
        else:
            predicted = self._prediction(**self.inputs)
        return F.mse_loss(predicted, self.inputs["x"])

    def _nets(self, config: UNetConfig) -> tuple[Any, Any]:
        """Returns the UNet and the net to train with it; None if that is the UNet."""
        if self.way == DIFFUSERS:
            return others.models(config)
        return UNet(config), None if self.way == FINE_TUNE else ControlNet(config)

    def _prediction(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None
    ) -> Tensor:
        emb = self.unet.embed(timesteps, y, x.dtype)
        skips, middle = self.unet.encode(x, emb, context)
        encoded = EncoderFeatures(tuple(skips), middle, emb, context)
        if self.net is None:
            return decode(self.unet, encoded)
        scales = [float(self.way != MIDDLE_ONLY)] * (self.net.config.num_blocks - 1) + [1.0]
        features = self.net.hint_features(self.hint)
        residuals = self.net.residuals(x, features, timesteps, context, y, scales)
        del skips, middle
        encoded = add_residuals(encoded, residuals)
        return decode(self.unet, encoded)


def cost(way: str, config: UNetConfig, side: int = 512, batch: int = 1) -> Cost:
    """Returns operations and peak memory of one step, once AdamW has its state, without computing anything.

    Args:
        way: one of WAYS, or DIFFUSERS.
        config: the nets' shape.
        side: of the pictures, in pixels.
        batch: pictures in a step.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        step = TrainingStep(way, config, side, batch, "cpu")
        with LiveBytes(step.weights) as memory:
            step.settle()
            memory.forget_peak()
            step.take()
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step.loss().backward()  # plain attention: the counter does not know the CPU's fused one
    return Cost(counter.get_total_flops(), memory.peak)


def seconds(
    way: str, config: UNetConfig, side: int, batch: int = 1, rounds: int = 3, device: str = "cpu"
) -> float:
    """Returns the time of one step, the shortest of several after one that is not counted.

    On the CPU it is the process's own time, so that other programs do not count.
    """
    step = TrainingStep(way, config, side, batch, device)
    step.take()
    found: list[float] = []
    for _ in range(rounds):
        begin = _now(device)
        step.take()
        found.append(_now(device) - begin)
    return min(found)


def section(settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of training steps, at several widths unless one was requested."""
    widths = WIDTHS if settings.width == 1.0 else (settings.width,)
    ways = WAYS if find_spec("diffusers") is None else (*WAYS, DIFFUSERS)
    rows: dict[str, tuple[float | None, ...]] = {}
    for index, width in enumerate(widths):
        narrow = replace(settings, width=width)
        costs: dict[str, Cost] = {}
        times: dict[str, float | None] = {}
        for way in ways:
            costs[way] = cost(way, narrow.config, settings.side, settings.pictures)
            times[way] = _time(way, narrow, costs[way])
            tell(len(ways) * index + len(costs), len(ways) * len(widths))
        rows |= {
            f"{way}, {narrow.config.model_channels} channels": _row(
                times[way], costs[way], times[FINE_TUNE], costs[FINE_TUNE]
            )
            for way in ways
        }
    return Table(
        title=f"one step of training, {settings.family} at {settings.side} px, batch {settings.pictures}, "
        f"float32, time on {settings.device}",
        columns=COLUMNS,
        rows=rows,
        chart="x FLOPs",
        notes=NOTES,
    )


def _row(
    taken: float | None, counts: Cost, whole_time: float | None, whole: Cost
) -> tuple[float | None, ...]:
    return (
        taken,
        None if taken is None or whole_time is None else taken / whole_time,
        counts.flops / 1e12,
        counts.flops / whole.flops,
        counts.peak_bytes / 2**30,
        counts.peak_bytes / whole.peak_bytes,
    )


def _time(way: str, settings: BenchSettings, counts: Cost) -> float | None:
    if MARGIN * counts.peak_bytes > _free_memory(settings.device):
        return None
    return seconds(
        way, settings.config, settings.side, settings.pictures, settings.rounds, settings.device
    )


def _free_memory(device: str) -> int:
    """Returns the bytes available; on Linux this includes what the page cache would release."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    if MEMINFO.exists():
        (line,) = [line for line in MEMINFO.read_text().splitlines() if "MemAvailable" in line]
        return int(line.split()[1]) * 2**10
    return 4 * 2**30  # macOS and Windows do not report it


def _now(device: str) -> float:
    if not device.startswith("cuda"):
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
