"""Timing several ways of doing one thing, in turn and in rounds: a machine that slows down slows all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

#: How often kernels are timed, in addition to the rounds.
KERNEL_ROUNDS = 3


def _attention(query: Sequence[int], key: Sequence[int], *_: object, **__: object) -> int:
    """Operations of attention by its shapes, (B, heads, tokens, width): two products."""
    batch, heads, tokens, width = query
    return 2 * 2 * batch * heads * tokens * key[2] * width


#: torch's counter has no formula for the CPU's fused attention.
_UNKNOWN_TO_THE_COUNTER = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}

#: Something to time.
Work = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """Seconds of one column, by round, and its peak memory in bytes (CUDA only)."""

    seconds: tuple[float, ...]
    peak: int | None = None
    # Processor time, or the kernels' time on CUDA, which other programs and a slow host disturb less.
    busy: tuple[float, ...] = ()

    @property
    def least(self) -> float:
        """The shortest round: the time of the work without disturbance."""
        return min(self.seconds)

    @property
    def least_busy(self) -> float | None:
        """As `least`, of the busy times; None if they were not measured."""
        return min(self.busy, default=None)

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a fraction of the median."""
        if len(self.seconds) < 4:
            return (max(self.seconds) - min(self.seconds)) / 2 / self.median
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median


def time_in_turn(
    columns: Mapping[str, Work],
    rounds: int,
    device: torch.device,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Times]:
    """Returns each column's times; every round runs each of them once, after one round that is not counted."""
    found: dict[str, list[_Round]] = {name: [] for name in columns}
    total = (rounds + 1) * len(columns)
    for turn in range(rounds + 1):
        for position, (name, work) in enumerate(columns.items()):
            found[name].append(_time_once(work, device))
            tell(turn * len(columns) + position + 1, total)
    kernels = {name: _kernel_seconds(work, device) for name, work in columns.items()}
    return {name: _times(took, kernels[name]) for name, took in found.items()}


def _times(took: list["_Round"], kernels: tuple[float, ...]) -> Times:
    counted = took[1:]
    return Times(
        tuple(t.seconds for t in counted),
        max(t.peak for t in took) or None,
        kernels or tuple(t.cpu for t in counted if t.cpu),
    )


@torch.no_grad()
def _kernel_seconds(work: Work, device: torch.device) -> tuple[float, ...]:
    """Returns the total time of all kernels, several times; nothing on a CPU, or if the profiler sees none."""
    if device.type != "cuda":
        return ()
    found: list[float] = []
    for _ in range(KERNEL_ROUNDS):
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            work()
            torch.cuda.synchronize(device)
        events = cast("list[Any]", seen.events())
        kernels = [e.time_range for e in events if e.device_type == DeviceType.CUDA]
        found.append(sum(kernel.elapsed_us() for kernel in kernels) / 1e6)
    return tuple(found) if all(found) else ()


@torch.no_grad()
def flops(work: Work) -> int:
    """Returns the floating-point operations of the work by torch's counter: convolutions, products, attention."""
    with FlopCounterMode(display=False, custom_mapping=_UNKNOWN_TO_THE_COUNTER) as counter:
        work()
    return counter.get_total_flops()


@dataclass(frozen=True)
class _Round:
    seconds: float
    cpu: float = 0.0
    peak: int = 0


@torch.no_grad()
def _time_once(work: Work, device: torch.device) -> _Round:
    if device.type != "cuda":
        begin, cpu = time.perf_counter(), time.process_time()
        work()
        return _Round(time.perf_counter() - begin, time.process_time() - cpu)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    seconds = begin.elapsed_time(end) / 1000
    return _Round(seconds, peak=torch.cuda.max_memory_allocated(device))
