"""How the processes of one run share its work: one process, or several through Hugging Face accelerate."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..nets.controlnet import ControlNet
from .step import ControlModel

T = TypeVar("T")


class Processes(Protocol):
    """The processes of a run, as its trainer sees them."""

    device: torch.device
    count: int
    index: int  # of this process; 0 writes files
    sharded: bool  # whether each process holds a part of every weight

    def wrap(self, net: ControlNet) -> ControlModel:
        """Returns the net, with gradients averaged over the processes; its parameters may then be different objects."""
        ...

    def share_of(self, batch: Sequence[T], pieces: int) -> list[Sequence[T]]:
        """Returns this process's part of a batch, divided into pieces of equal length."""
        ...

    def sync(self, model: ControlModel, *, last: bool) -> AbstractContextManager[Any]:
        """Returns a context for the backward pass of a piece; the last one exchanges gradients."""
        ...

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean over the processes."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        ...

    def whole(self, tensor: Tensor) -> Tensor:
        """Returns the whole tensor if each process may hold a part of it; all processes must call this."""
        ...

    def part(self, whole: Tensor, like: Tensor) -> Tensor:
        """Returns this process's part of a tensor, divided like `like`."""
        ...


class WholeTensors:
    """Every process holds whole tensors."""

    sharded = False

    def whole(self, tensor: Tensor) -> Tensor:
        return tensor

    def part(self, whole: Tensor, like: Tensor) -> Tensor:
        return whole


class SingleProcess(WholeTensors):
    """One process; no library needed."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.count, self.index = 1, 0

    def wrap(self, net: ControlNet) -> ControlModel:
        return net

    def share_of(self, batch: Sequence[T], pieces: int) -> list[Sequence[T]]:
        return share_of(batch, 0, 1, pieces)

    def sync(self, model: ControlModel, *, last: bool) -> AbstractContextManager[Any]:
        return nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        return value

    def any(self, flag: bool) -> bool:
        return flag


def share_of(batch: Sequence[T], index: int, count: int, pieces: int) -> list[Sequence[T]]:
    """Returns the part of a batch for process `index` of `count`, divided into `pieces` of equal length.

    Raises:
        ValueError: the batch cannot be divided so.
    """
    if len(batch) % (count * pieces):
        raise ValueError(
            f"`batch_size` is {len(batch)}; it must be a multiple of processes x accumulation, {count} x {pieces}."
        )
    size = len(batch) // (count * pieces)
    first = index * pieces * size
    return [batch[first + i * size : first + (i + 1) * size] for i in range(pieces)]


class AcceleratedProcesses(WholeTensors):
    """Several processes of accelerate; each holds the net, and gradients are averaged by DDP."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        self.device: torch.device = accelerator.device
        self.count: int = accelerator.num_processes
        self.index: int = accelerator.process_index

    def wrap(self, net: ControlNet) -> ControlModel:
        return self._accelerator.prepare_model(net)

    def share_of(self, batch: Sequence[T], pieces: int) -> list[Sequence[T]]:
        return share_of(batch, self.index, self.count, pieces)

    def sync(self, model: ControlModel, *, last: bool) -> AbstractContextManager[Any]:
        return nullcontext() if last else self._accelerator.no_sync(model)

    def mean(self, value: Tensor) -> Tensor:
        return self._accelerator.reduce(value, "mean")

    def any(self, flag: bool) -> bool:
        asked = torch.tensor(float(flag), device=self.device)
        return bool(self._accelerator.reduce(asked, "sum") > 0)
