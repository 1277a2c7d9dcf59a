"""What one training step costs: `cnet bench --training`.

Three ways, at the same batch and size: fine-tuning the UNet without a ControlNet, our ControlNet step, and the step of
diffusers' train_controlnet. Each runs in a process of its own, so that its peak of memory is its own; FLOPs are those of
torch's counter, and decide where the clock is noisy.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..controlnet import ControlNet
from ..training.locked import decode, encode, lock
from ..unet import UNet
from .settings import Settings
from .tables import Table

#: Bytes in the unit of getrusage's ru_maxrss.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
COLUMNS = ("seconds", "TFLOP", "peak GB", "time ratio", "FLOP ratio", "memory ratio")

#: (loss to go backward from, parameters to optimise)
Way = tuple[Callable[[], Tensor], list[nn.Parameter]]


def measure(settings: Settings, tell: Callable[[int, int], None]) -> Table:
    """Returns the cost of a step each way, and its ratio to fine-tuning; diffusers' only where it is installed."""
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, tuple[float, float, float]] = {}
    for index, way in enumerate(WAYS):
        with spawn.Pool(1) as pool:
            cost = pool.apply(_cost, (way, settings))
        if cost is not None:
            found[way] = cost
        tell(index + 1, len(WAYS))
    base = next(iter(found.values()))
    rows = {
        way: (*cost, *(a / b for a, b in zip(cost, base, strict=True)))
        for way, cost in found.items()
    }
    return Table(
        f"one training step, {settings.family}, width {settings.width:g}, {settings.side} px, batch "
        f"{2 * settings.pictures}",
        COLUMNS,
        rows,
        "FLOP ratio",
        ("memory holds weights, gradients, AdamW's moments and activations",),
    )


def _fine_tune(settings: Settings) -> Way:
    unet = UNet(settings.config).to(settings.device)
    x, timesteps, context, y, _ = _inputs(settings)
    return lambda: _loss(unet(x, timesteps, context, y)), list(unet.parameters())


def _ours(settings: Settings) -> Way:
    unet = lock(UNet(settings.config).to(settings.device))
    net = ControlNet.from_unet(unet).requires_grad_(True)
    x, timesteps, context, y, hint = _inputs(settings)

    def loss() -> Tensor:
        encoded = encode(unet, x, timesteps, context, y)
        return _loss(decode(unet, encoded, net(x, hint, timesteps, context, y)))

    return loss, list(net.parameters())


def _diffusers(settings: Settings) -> Way | None:
    """As examples/controlnet/train_controlnet.py: unet.requires_grad_(False), controlnet.train()."""
    try:
        library: Any = import_module("diffusers")
    except ImportError:
        return None
    if settings.family != "sd15":
        return None
    widths = tuple(settings.config.model_channels * mult for mult in settings.config.channel_mult)
    unet = library.UNet2DConditionModel(
        block_out_channels=widths,
        cross_attention_dim=settings.config.context_dim,
        attention_head_dim=settings.config.num_heads,
    )
    unet = unet.to(settings.device).requires_grad_(False)
    net = library.ControlNetModel.from_unet(unet).train()
    net.requires_grad_(True)
    x, timesteps, context, _, hint = _inputs(settings)

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
        return _loss(predicted.sample)

    return loss, cast(list[nn.Parameter], list(net.parameters()))


WAYS: dict[str, Callable[[Settings], Way | None]] = {
    "fine-tune the UNet": _fine_tune,
    "our ControlNet step": _ours,
    "diffusers' ControlNet step": _diffusers,
}


def _cost(way: str, settings: Settings) -> tuple[float, float, float] | None:
    """Returns seconds of the fastest step, TFLOP, and GB above what the process had at its start."""
    torch.manual_seed(0)
    before = _peak(settings.device)
    made = WAYS[way](settings)
    if made is None:
        return None
    loss, parameters = made
    optimizer = torch.optim.AdamW(parameters, lr=1e-5)
    counter = FlopCounterMode(display=False)
    with counter:
        loss().backward()
    optimizer.step()
    seconds = min(_step(loss, optimizer, settings.device) for _ in range(settings.rounds))
    used = _peak(settings.device) - before
    return seconds, counter.get_total_flops() / 1e12, used / 1e9


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


def _inputs(settings: Settings) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor]:
    given = settings.inputs()
    hint = settings.hint().expand(len(given["x"]), -1, -1, -1)
    return given["x"], given["timesteps"], given["context"], given.get("y"), hint


def _loss(prediction: Tensor) -> Tensor:
    return F.mse_loss(prediction, torch.zeros_like(prediction))
