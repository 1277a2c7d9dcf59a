"""What one optimizer step of training costs: a fine-tune of the whole UNet, a ControlNet as released, and ours.

Operations and peak memory come from tensors without data, so they are exact at full width on any machine; time comes
from running the step.
"""

import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ..config import UNetConfig
from ..controlnet import HINT_DOWNSCALE, ControlNet
from ..patching.ldm import LdmAdapter
from ..residuals import Residuals
from ..unet import UNet

FINE_TUNE, RELEASED, OURS = "fine-tune", "ControlNet as released", "ControlNet"
MIDDLE_ONLY, ALL_GRADIENTS = "ControlNet, middle only", "ControlNet, all gradients"
WAYS = (FINE_TUNE, ALL_GRADIENTS, RELEASED, OURS, MIDDLE_ONLY)
#: Tokens of a prompt.
TOKENS = 77


@dataclass(frozen=True)
class Cost:
    """Of one optimizer step. Memory is that of tensors: weights, gradients, AdamW's state, activations."""

    flops: int
    peak_bytes: int


class TrainingStep:
    """One way to train, ready to take steps: nets with random weights, a batch, AdamW."""

    def __init__(
        self, way: str, config: UNetConfig, side: int, batch: int, device: torch.device | str
    ) -> None:
        if way not in WAYS:
            raise ValueError(f"`way` is {way!r}; it must be one of {', '.join(WAYS)}.")
        self.way = way
        with torch.device(device):
            self.unet = UNet(config)
            self.net = None if way == FINE_TUNE else ControlNet(config)
            latent = side // HINT_DOWNSCALE
            self.x = torch.randn(batch, config.in_channels, latent, latent)
            self.timesteps = torch.full((batch,), 500.0)
            self.context = torch.randn(batch, TOKENS, config.context_dim)
            self.y = None if config.y_dim is None else torch.randn(batch, config.y_dim)
            self.hint = torch.rand(batch, 3, side, side)
        trained = self.unet if self.net is None else self.net
        self.unet.requires_grad_(way in (FINE_TUNE, ALL_GRADIENTS))
        if (
            way == RELEASED
        ):  # cldm.py runs encoder and middle without a graph, but the decoder with weight gradients
            self.unet.output_blocks.requires_grad_(True)
            self.unet.out.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-5)

    @property
    def weights(self) -> list[nn.Parameter]:
        """Every parameter there is, trained or not."""
        return [p for m in (self.unet, self.net) if m is not None for p in m.parameters()]

    def take(self) -> None:
        """Takes one step. Gradients of the released way's locked decoder are never cleared, as there."""
        self.optimizer.zero_grad()
        F.mse_loss(self._prediction(), self.x).backward()
        self.optimizer.step()

    def _prediction(self) -> Tensor:
        inputs = (self.x, self.timesteps, self.context, self.y)
        if self.net is None:
            return self.unet(*inputs)
        hooks = LdmAdapter().attach(self.unet, self._residuals)
        try:
            return self.unet(*inputs)
        finally:
            for hook in hooks:
                hook.remove()

    def _residuals(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
    ) -> Residuals:
        assert self.net is not None
        scales = [float(self.way != MIDDLE_ONLY)] * (self.unet.config.num_blocks - 1) + [1.0]
        features = self.net.hint_features(self.hint)
        return self.net.residuals(x, features, self.timesteps, context, y, scales)


def cost(way: str, config: UNetConfig, side: int = 512, batch: int = 1) -> Cost:
    """Returns operations and peak memory of one step, once AdamW has its state; nothing is computed for it.

    Args:
        way: one of WAYS.
        config: the nets' shape.
        side: of the pictures, in pixels.
        batch: pictures in a step.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        step = TrainingStep(way, config, side, batch, "cpu")
        with LiveBytes(step.weights) as memory:
            step.take()
            memory.forget_peak()
            step.take()
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step.take()  # the counter does not know the CPU's fused attention
    return Cost(counter.get_total_flops(), memory.peak)


def seconds(
    config: UNetConfig,
    side: int,
    batch: int = 1,
    rounds: int = 3,
    device: str = "cpu",
    tell: Callable[[str], None] = lambda way: None,
) -> dict[str, float]:
    """Returns each way's time of one step, the least of several rounds in which the ways take turns.

    On the CPU it is the process's own time, so that other processes do not count.
    """
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    steps = {way: TrainingStep(way, config, side, batch, device) for way in WAYS}
    for turn in range(rounds + 1):
        for way, step in steps.items():
            tell(way)
            begin = _now(device)
            step.take()
            if turn:
                found[way].append(_now(device) - begin)
    return {way: min(times) for way, times in found.items()}


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive; `peak` is the most there were."""

    def __init__(self, tensors: list[nn.Parameter]) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self._now = self.peak = 0
        for tensor in tensors:
            self._see(tensor)

    def forget_peak(self) -> None:
        """Starts to look for the peak anew."""
        self.peak = self._now

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return found

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self._now -= self._sizes.pop(key)


def _now(device: str) -> float:
    if not device.startswith("cuda"):
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
