"""The memory that control adds to a step of the UNet alone, compared with the size of what it must keep.

Counted on tensors without data, so it is exact at full width on any machine. Kernels' own workspace is not counted;
on CUDA the section of steps has the allocator's peaks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ..control.routing import HintRouting
from ..engine.stack import ControlUnit
from ..nets.controlnet import ControlNet
from ..nets.unet import UNet
from ..patching import patch_unet
from .live_bytes import LiveBytes
from .settings import BenchSettings
from .tables import Table

MIB = 2**20
#: Row -> units, and their routing.
WAYS = {
    "1 unit": (1, HintRouting.both()),
    "1 unit, cond only": (1, HintRouting.cond_only()),
    "2 units": (2, HintRouting.both()),
    "3 units": (3, HintRouting.both()),
    "4 units": (4, HintRouting.both()),
}
COLUMNS = (
    "peak MiB",
    "x UNet",
    "extra MiB",
    "weights MiB",
    "needed MiB",
    "without weights / needed",
)
NOTES = (
    "peak: of all tensors in two steps, with the hint's encoding; each unit has its own net.",
    "needed: features of the hints, and residuals for all rows of the UNet's batch.",
    "without weights: extra - weights.",
)


@dataclass(frozen=True)
class Sizes:
    """The calculated bytes that one unit on all rows keeps."""

    weights: int
    features: int  # of its hint
    residuals: int


def section(settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of peaks."""
    alone = peak(settings, 0, HintRouting.both())
    size = sizes(settings)
    nothing = (None,) * (len(COLUMNS) - 2)
    rows: dict[str, tuple[float | None, ...]] = {"UNet alone": (alone / MIB, 1.0, *nothing)}
    for name, (units, routing) in WAYS.items():
        most = peak(settings, units, routing)
        weights, needed = units * size.weights, units * size.features + size.residuals
        beside = most - alone - weights
        mib = (n / MIB for n in (most - alone, weights, needed))
        rows[name] = (most / MIB, most / alone, *mib, beside / needed)
        tell(len(rows) - 1, len(WAYS))
    return Table(
        title=f"memory of a step, {settings.family} at {settings.side} px, batch {2 * settings.pictures}, "
        f"width {settings.width:g}, {settings.dtype}",
        columns=COLUMNS,
        rows=rows,
        chart="x UNet",
        notes=NOTES,
    )


@torch.no_grad()
def peak(settings: BenchSettings, units: int, routing: HintRouting) -> int:
    """Returns the most bytes of tensors that are alive within two steps, weights included."""
    settings = replace(settings, device="cpu")
    empty = FakeTensorMode(allow_non_fake_inputs=True)
    with empty, settings.build_on_device():
        unet = UNet(settings.config)
        nets = [ControlNet(settings.config) for _ in range(units)]
    hint = settings.hint()  # with data: a unit reads it
    patch_unet(unet, [ControlUnit(net, hint, routing=routing) for net in nets])
    weights = [weight for module in (unet, *nets) for weight in module.parameters()]
    with empty, LiveBytes(weights) as memory:
        inputs = settings.inputs()
        for _ in range(2):
            unet(**inputs)
    return memory.peak


def sizes(settings: BenchSettings) -> Sizes:
    """Returns the calculated sizes for a step of both branches."""
    with torch.device("meta"):
        net = ControlNet(settings.config)
    rows, side, config = 2 * settings.pictures, settings.latent, settings.config
    numbers = (
        sum(weight.numel() for weight in net.parameters()),
        config.model_channels * side**2,
        rows * sum(c * h * w for c, h, w in config.block_shapes(side, side)),
    )
    return Sizes(*(settings.torch_dtype.itemsize * number for number in numbers))
