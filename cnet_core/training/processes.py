"""How the processes of one run share its work: one alone, or several by Hugging Face accelerate."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from .step import ControlModel

T = TypeVar("T")


class Processes(Protocol):
    """What a trainer asks of the processes beside it."""

    device: torch.device
    count: int
    index: int  # of this process; 0 writes files

    def wrap(self, net: nn.Module) -> ControlModel:
        """Returns the net, with gradients averaged over the processes."""
        ...

    def share_of(self, batch: Sequence[T], pieces: int) -> list[Sequence[T]]:
        """Returns this process's part of a batch, cut into pieces of equal length."""
        ...

    def sync(self, model: ControlModel, *, last: bool) -> AbstractContextManager[Any]:
        """Returns a context for the backward pass of a piece; gradients are exchanged in the last one."""
        ...

    def mean(self, value: Tensor) -> Tensor:
        """Returns the mean over the processes."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        ...


class SingleProcess:
    """One process; no library needed."""

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.count, self.index = 1, 0

    def wrap(self, net: nn.Module) -> ControlModel:
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
    """Returns the part of a batch that process `index` of `count` takes, cut into `pieces` of equal length.

    Raises:
        ValueError: the batch cannot be cut so.
    """
    if len(batch) % (count * pieces):
        raise ValueError(
            f"`batch_size` is {len(batch)}; it must be a multiple of processes x accumulation, {count} x {pieces}."
        )
    size = len(batch) // (count * pieces)
    first = index * pieces * size
    return [batch[first + i * size : first + (i + 1) * size] for i in range(pieces)]


class AcceleratedProcesses:
    """Several processes, begun by `accelerate launch` or torchrun; gradients are averaged by DDP.

    Raises:
        ValueError: accelerate is missing, or its config asks for sharded weights.
    """

    def __init__(self) -> None:
        try:
            accelerate = import_module("accelerate")
        except ImportError as error:
            raise ValueError(
                "Training in several processes needs accelerate: pip install 'cnet-nodes[train]'."
            ) from error
        self._accelerator: Any = accelerate.Accelerator()
        kind = str(self._accelerator.distributed_type).rpartition(".")[2]
        if kind not in ("NO", "MULTI_GPU", "MULTI_CPU"):
            raise ValueError(
                f"accelerate is set to {kind}, but a ControlNet is trained whole in every process; choose "
                "plain multi-GPU in `accelerate config`."
            )
        self.device: torch.device = self._accelerator.device
        self.count: int = self._accelerator.num_processes
        self.index: int = self._accelerator.process_index

    def wrap(self, net: nn.Module) -> ControlModel:
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


def are_several() -> bool:
    """Whether a launcher has begun more processes than this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
