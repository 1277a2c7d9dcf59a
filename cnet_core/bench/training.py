"""What one optimizer step of training costs in several ways: `python -m cnet_core.bench.training [--time 256]`.

A fine-tune of the whole UNet; a ControlNet with the gradients of every locked weight computed too, with those of the
locked decoder (as released), with none of them (ours), and ours connected to the middle alone. Operations and peak
memory come from tensors without data, so they are exact at full width on any machine; time comes from running the step.
"""

import argparse
import json
import logging
import sys
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ..config import SD15, UNetConfig
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
        self.loss().backward()
        self.optimizer.step()

    def settle(self) -> None:
        """Makes what every later step finds: AdamW's state, and gradients that are never cleared."""
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
        self.optimizer.step()

    def loss(self) -> Tensor:
        """Returns the mean squared error of the prediction, with its graph."""
        return F.mse_loss(self._prediction(), self.x)

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
            step.settle()
            memory.forget_peak()
            step.take()
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            step.loss().backward()  # plain attention: the counter does not know the CPU's fused one
    return Cost(counter.get_total_flops(), memory.peak)


def seconds(
    way: str, config: UNetConfig, side: int, batch: int = 1, rounds: int = 3, device: str = "cpu"
) -> float:
    """Returns the time of one step, the least of several after one that is not counted.

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
        key = storage._cdata  # pyright: ignore[reportPrivateUsage]
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self._now -= self._sizes.pop(key)


def measure(
    channels: Sequence[int], side: int, batch: int, timed_side: int
) -> list[dict[str, Any]]:
    """Returns, for each width of SD1.5's shape, each way's figures: operations, peak bytes, seconds.

    Args:
        channels: model channels, multiples of 32; SD1.5 has 320.
        side, batch: of the step whose operations and memory are counted.
        timed_side: of the step that is run, with one picture; 0 runs none.
    """
    found: list[dict[str, Any]] = []
    for count in channels:
        config = replace(SD15, model_channels=count)
        ways: dict[str, dict[str, float | None]] = {}
        for way in WAYS:
            logging.getLogger("cnet").info("%s channels: %s", count, way)
            timed = seconds(way, config, timed_side) if timed_side else None
            ways[way] = {**asdict(cost(way, config, side, batch)), "seconds": timed}
        found.append({"model_channels": count, "side": side, "batch": batch, "ways": ways})
    return found


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description="What a step of training costs, in every way.")
    parser.add_argument("--channels", type=int, nargs="+", default=[96, 160, 320])
    parser.add_argument("--side", type=int, default=512, help="pixels (default: 512)")
    parser.add_argument("--batch", type=int, default=4, help="default: 4, as in the released code")
    parser.add_argument(
        "--time", type=int, default=0, metavar="SIDE", help="also run steps of this side"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = measure(args.channels, args.side, args.batch, args.time)
    sys.stdout.write(json.dumps({"torch": torch.__version__, "widths": found}, indent=1) + "\n")


def _now(device: str) -> float:
    if not device.startswith("cuda"):
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
