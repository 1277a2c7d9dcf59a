"""What one training step costs, of Stable Diffusion 1.5's topology: `python -m cnet_core.bench.training [--width 64]`.

Three ways, at the same batch and size: (a) fine-tuning the UNet without a ControlNet, (b) our ControlNet step, (c) the
step of diffusers' train_controlnet. Each runs in a process of its own, so that its peak of memory is its own; FLOPs are
those of torch's counter. A width of 320 is the real model.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..config import SD15, UNetConfig
from ..controlnet import ControlNet
from ..training.locked import decode, encode, lock
from ..unet import UNet

CONTEXT_TOKENS = 77
#: Bytes in what getrusage calls its unit.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Setup:
    """What is measured."""

    width: int = 64  # model_channels; 320 is the real one
    side: int = 32  # of the latents; 64 is 512 pixels
    batch: int = 2
    steps: int = 3  # timed, after one to warm up
    device: str = "cpu"

    @property
    def config(self) -> UNetConfig:
        """Stable Diffusion 1.5 in all but width."""
        return UNetConfig.from_dict({**SD15.to_dict(), "model_channels": self.width})


@dataclass(frozen=True)
class Cost:
    """What one optimizer step took."""

    seconds: float  # the fastest of the timed steps
    tflop: float  # forward and backward, by torch's counter
    gigabytes: float  # peak above the process before the model was built; weights and AdamW's moments included


#: (loss to go backward from, parameters to optimise)
Way = tuple[Callable[[], Tensor], list[nn.Parameter]]


def measure(setup: Setup, ways: Sequence[str] | None = None) -> dict[str, Cost]:
    """Returns the cost of each way; those whose library is missing are left out."""
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, Cost] = {}
    for way in ways or WAYS:
        with spawn.Pool(1) as pool:
            values = pool.apply(_measure_one, (way, setup))
        if values is not None:
            found[way] = Cost(**values)
    return found


def table(costs: dict[str, Cost]) -> str:
    """Returns the costs as lines of text, and as ratios to fine-tuning."""
    lines = [f"{'':<28}{'time':>16}{'FLOPs':>18}{'peak memory':>20}"]
    base = costs["fine-tune the UNet"]
    for way, cost in costs.items():
        lines.append(
            f"{way:<28}{cost.seconds:>7.2f} s {cost.seconds / base.seconds:>5.2f}x"
            f"{cost.tflop:>9.4f} T {cost.tflop / base.tflop:>5.2f}x"
            f"{cost.gigabytes:>10.2f} GB {cost.gigabytes / base.gigabytes:>5.2f}x"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the table, or with --json the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("width", "side", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Setup, name))
    parser.add_argument("--device", default=Setup.device)
    parser.add_argument("--json", action="store_true")
    args = vars(parser.parse_args())
    as_json = args.pop("json")
    costs = measure(Setup(**args))
    numbers = {way: asdict(cost) for way, cost in costs.items()}
    print(json.dumps(numbers, indent=2) if as_json else table(costs))


def _fine_tune(setup: Setup) -> Way:
    unet = UNet(setup.config).to(setup.device)
    x, timesteps, context, _ = _inputs(setup)
    return lambda: _loss(unet(x, timesteps, context), x), list(unet.parameters())


def _ours(setup: Setup) -> Way:
    unet = lock(UNet(setup.config).to(setup.device))
    net = ControlNet.from_unet(unet).requires_grad_(True)
    x, timesteps, context, hint = _inputs(setup)

    def loss() -> Tensor:
        encoded = encode(unet, x, timesteps, context, None)
        return _loss(decode(unet, encoded, net(x, hint, timesteps, context)), x)

    return loss, list(net.parameters())


def _diffusers(setup: Setup) -> Way:
    """As examples/controlnet/train_controlnet.py: unet.requires_grad_(False), controlnet.train()."""
    library: Any = import_module("diffusers")
    widths = tuple(setup.width * mult for mult in setup.config.channel_mult)
    unet = library.UNet2DConditionModel(block_out_channels=widths, cross_attention_dim=768)
    unet = unet.to(setup.device).requires_grad_(False)
    net = library.ControlNetModel.from_unet(unet).train()
    net.requires_grad_(True)
    x, timesteps, context, hint = _inputs(setup)

    def loss() -> Tensor:
        down, middle = net(
            x, timesteps, encoder_hidden_states=context, controlnet_cond=hint, return_dict=False
        )
        predicted = unet(
            x,
            timesteps,
            encoder_hidden_states=context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        )
        return _loss(predicted.sample, x)

    return loss, cast(list[nn.Parameter], list(net.parameters()))


WAYS: dict[str, Callable[[Setup], Way]] = {
    "fine-tune the UNet": _fine_tune,
    "our ControlNet step": _ours,
    "diffusers' ControlNet step": _diffusers,
}


def _measure_one(way: str, setup: Setup) -> dict[str, float] | None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    try:
        if way.startswith("diffusers"):
            import_module("diffusers")
    except ImportError:
        return None
    before = _peak(setup.device)
    loss, parameters = WAYS[way](setup)
    optimizer = torch.optim.AdamW(parameters, lr=1e-5)
    counter = FlopCounterMode(display=False)
    with counter:
        loss().backward()
    optimizer.step()
    seconds = min(_step(loss, optimizer, setup.device) for _ in range(setup.steps))
    used = _peak(setup.device) - before
    return asdict(Cost(seconds, counter.get_total_flops() / 1e12, used / 1e9))


def _step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer, device: str) -> float:
    begin = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss().backward()
    optimizer.step()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def _peak(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def _inputs(setup: Setup) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = (
        (setup.batch, 4, setup.side, setup.side),
        (setup.batch, CONTEXT_TOKENS, setup.config.context_dim),
        (setup.batch, 3, 8 * setup.side, 8 * setup.side),
    )
    x, context, hint = (torch.randn(s, generator=generator).to(setup.device) for s in shapes)
    return x, torch.full((setup.batch,), 500, device=setup.device), context, hint


def _loss(prediction: Tensor, like: Tensor) -> Tensor:
    return F.mse_loss(prediction, torch.zeros_like(like))


if __name__ == "__main__":
    main()
