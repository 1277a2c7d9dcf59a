"""What control adds to one step of a UNet, compared with the limit and with other ways to do it.

The limit is the cost of the locked UNet's own encoder and middle on the controlled rows: a ControlNet is a copy of
them. A step is one call of the UNet with both branches of guidance.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..control.routing import Branch, HintRouting
from ..control.scales import BlockScales
from ..engine.stack import ControlUnit
from ..nets.controlnet import ControlNet
from ..nets.encoder import Encoder
from ..nets.unet import UNet
from ..patching import patch_unet
from . import others
from .operations import Operations, operations
from .settings import BenchSettings
from .tables import Table
from .timing import Times, Work, flops, time_in_turn

PLAIN = "UNet alone"
LIMITS = {"both": "encoder and middle, all rows", "cond": "encoder and middle, cond rows"}
#: Column -> which limit its overhead is measured in; None: no limit.
OURS: dict[str, str | None] = {
    "both": "both",
    "both, soft scales": "both",
    "cond only": "cond",
    "cond only, 6 shallow blocks": "cond",
    "cond only, step reused": None,
    "cond only, outside its window": None,
    "two UNet calls, control on cond": "cond",
}
#: Large enough for every step to be reused.
ALWAYS = 10.0

COLUMNS = (
    "least ms",
    "median ms",
    "+-%",
    "x UNet",
    "x UNet (FLOPs)",
    "operations",
    "that write",
    "busy ms",
    "overhead / limit",
    "overhead / limit (busy)",
    "overhead / limit (FLOPs)",
    "peak MiB",
)
NOTES = (
    "x UNet: the shortest time, or the FLOPs, relative to the UNet alone.",
    "overhead / limit: what control adds, relative to the UNet's encoder and middle on the controlled rows;",
    "for diffusers, relative to its own UNet. By shortest times, by shortest busy times, by FLOPs.",
    "operations: ATen calls in inference mode, before compiling; that write: those that write memory, so no views.",
    "busy: processor time, or the kernels' time on a GPU; other programs and a slow host disturb it less.",
)


def section(settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of steps."""
    unet, net = settings.nets()
    works = columns(settings, unet, net)
    for work in works.values():
        flops(work)  # encodes hints and fills caches
    counted = {name: _Cost(flops(work), operations(work)) for name, work in works.items()}
    if settings.compile:  # the counters see no operations of compiled code
        net.compile_steps()
    timed = time_in_turn(works, settings.rounds, torch.device(settings.device), tell)
    return _table(settings, counted, timed)


def columns(settings: BenchSettings, unet: UNet, net: ControlNet) -> dict[str, Work]:
    """Returns each way of doing a step with these nets, by name."""
    inputs = settings.inputs()
    rows = len(inputs["x"])
    cond = {name: tensor[rows // 2 :] for name, tensor in inputs.items()}
    uncond = {name: tensor[: rows // 2] for name, tensor in inputs.items()}
    hint = settings.hint()
    unit = partial(ControlUnit, net, hint)
    shallow = [1.0] * 6 + [0.0] * (settings.config.num_blocks - 6)
    cond_only = HintRouting.cond_only()
    units = {
        "both": unit(),
        "both, soft scales": unit(scales=BlockScales.soft()),
        "cond only": unit(routing=cond_only),
        "cond only, 6 shallow blocks": unit(routing=cond_only, scales=BlockScales.custom(shallow)),
        "cond only, step reused": unit(routing=cond_only, reuse_tolerance=ALWAYS),
        "cond only, outside its window": unit(routing=cond_only, start_percent=0.9),
    }
    measures: dict[str, Work] = {
        PLAIN: lambda: unet(**inputs),
        LIMITS["both"]: lambda: encoder_and_middle(unet, **inputs),
        LIMITS["cond"]: lambda: encoder_and_middle(unet, **cond),
    }
    ways: dict[str, Work] = {
        **{name: _Step(unet, u, inputs) for name, u in units.items()},
        "two UNet calls, control on cond": _TwoCalls(unet, unit(), uncond, cond),
    }
    if not settings.ways or set(settings.ways) - set(ways):
        ways |= others.columns(settings, inputs, hint)
    return {**measures, **_choose_ways(ways, settings.ways)}


def _choose_ways(ways: Mapping[str, Work], names: Sequence[str]) -> dict[str, Work]:
    """Returns the requested ways, with diffusers' UNet for any of diffusers'; all if none was requested."""
    unknown = set(names) - set(ways)
    if unknown:
        raise ValueError(
            f"`--ways` has no {', '.join(sorted(unknown))}; choose from {', '.join(ways)}."
        )
    needed = {*names, *([others.PLAIN] if set(names) & set(others.COUNTERPARTS) else [])}
    return {name: work for name, work in ways.items() if not names or name in needed}


def encoder_and_middle(
    net: Encoder, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None
) -> Tensor:
    """Runs the part of a UNet that a ControlNet is a copy of."""
    emb = net.embed(timesteps, y, x.dtype)
    for block in net.input_blocks:
        x = block(x, emb, context)
    return net.middle_block(x, emb, context)


class _Step:
    """One step with control, on its own UNet that shares the weights."""

    def __init__(
        self,
        unet: UNet,
        unit: ControlUnit,
        inputs: Mapping[str, Tensor],
        branches: Sequence[Branch] = ("uncond", "cond"),
    ) -> None:
        weights = {id(parameter): parameter for parameter in unet.parameters()}
        self._unet, self._inputs = copy.deepcopy(unet, weights), inputs
        patch_unet(self._unet, unit, rows=branches)

    def __call__(self) -> Tensor:
        return self._unet(**self._inputs)


class _TwoCalls:
    """Control on cond alone for a host that cannot skip rows: one call of the UNet per branch."""

    def __init__(
        self,
        unet: UNet,
        unit: ControlUnit,
        uncond: Mapping[str, Tensor],
        cond: Mapping[str, Tensor],
    ) -> None:
        self._plain = partial(unet, **uncond)
        self._controlled = _Step(unet, unit, cond, ["cond"])

    def __call__(self) -> Tensor:
        return torch.cat([self._plain(), self._controlled()])


@dataclass(frozen=True)
class _Cost:
    flops: int
    operations: Operations


def _table(
    settings: BenchSettings, counted: Mapping[str, _Cost], timed: Mapping[str, Times]
) -> Table:
    rows: dict[str, tuple[float | None, ...]] = {}
    for name, times in timed.items():
        limit = LIMITS.get(OURS.get(others.COUNTERPARTS.get(name, name)) or "")
        base = others.PLAIN if name in others.COUNTERPARTS else PLAIN
        plain, plain_flops = timed[base], counted[base].flops
        mine = counted[name]
        rows[name] = (
            1000 * times.least,
            1000 * times.median,
            100 * times.spread,
            times.least / timed[PLAIN].least,
            mine.flops / counted[PLAIN].flops,
            mine.operations.kinds.total(),
            mine.operations.writing.total(),
            None if times.least_busy is None else 1000 * times.least_busy,
            None if limit is None else (times.least - plain.least) / timed[limit].least,
            None if limit is None else _busy_overhead(times, plain, timed[limit]),
            None if limit is None else (mine.flops - plain_flops) / counted[limit].flops,
            None if times.peak is None else times.peak / 2**20,
        )
    return Table(
        title=f"one step, {settings.family} at {settings.side} px, batch {2 * settings.pictures}, "
        f"width {settings.width:g}, {settings.dtype} on {settings.device}"
        + ", ControlNet compiled"
        * settings.compile,
        columns=COLUMNS,
        rows=rows,
        chart="x UNet",
        notes=NOTES,
    )


def _busy_overhead(times: Times, plain: Times, limit: Times) -> float | None:
    if times.least_busy is None or plain.least_busy is None or not limit.least_busy:
        return None
    return (times.least_busy - plain.least_busy) / limit.least_busy
