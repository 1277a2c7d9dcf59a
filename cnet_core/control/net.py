"""Net: the protocol of a ControlNet in a ControlUnit."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from ..nets.residuals import Residuals


class ControlTypeError(ValueError):
    """A control type that a net does not take.

    Attributes:
        given: the requested types.
        known: the types of a Union ControlNet; None for a net of one type.
    """

    def __init__(self, given: Sequence[str], known: Sequence[str] | None = None) -> None:
        self.given, self.known = tuple(given), known
        super().__init__(self.sentence("control_types", "Leave it out."))

    def sentence(self, argument: str, way_out: str) -> str:
        """Returns the message, with the argument's name and what to do for a net without types."""
        if self.known is None:
            return f"`{argument}` is for Union ControlNets; this ControlNet has one type. {way_out}"
        return f"`{argument}` is {self.given}; this Union ControlNet knows {', '.join(self.known)}."


class BlockLayout(Protocol):
    """The part of a net's config that a ControlUnit needs; `UNetConfig` is one."""

    @property
    def in_channels(self) -> int: ...

    @property
    def context_dim(self) -> int: ...

    @property
    def y_dim(self) -> int | None: ...

    @property
    def num_blocks(self) -> int: ...

    def block_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Returns (channels, height, width) of each residual for latents of a size, shallow to deep, middle last."""
        ...

    def block_sizes(self, height: int, width: int) -> tuple[float, ...]:
        """Returns the side of each residual, sqrt(height * width)."""
        ...


class Net(Protocol):
    """A ControlNet in a ControlUnit; `cnet_core.ControlNet` is one."""

    @property
    def config(self) -> BlockLayout: ...

    @property
    def hint_channels(self) -> int: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def pooled(self) -> bool:
        """Whether its residuals are replaced by their means ("shuffle")."""
        ...

    @property
    def weights_version(self) -> int:
        """A number that changes whenever the weights do; a constant if they cannot change during a run.

        It is read at every call where residuals are reused.
        """
        ...

    @property
    def hint_version(self) -> int:
        """The same for the weights that `hint_features` reads; read at every call."""
        ...

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError for control types, or a number of hints, that the net does not take."""
        ...

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor: ...

    def residuals(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        scales: Sequence[float] | None = None,
        *,
        control_types: Sequence[str] | None = None,
    ) -> Residuals:
        """Returns the residuals times scales; of a pooled net before they are pooled."""
        ...

    def close(self) -> None:
        """Drops what the net keeps for one run of a host."""
        ...


def version_of(*parts: nn.Module | Tensor) -> int:
    """Returns a number that changes when weights of modules, or single ones, are written to in place or replaced.

    It does not change when accelerate moves weights to or from the meta device.
    """
    weights = (part for part in parts if isinstance(part, Tensor))
    modules = (part for part in parts if isinstance(part, nn.Module))
    marks = [_mark(weight) for weight in weights if not weight.is_meta]
    marks += [_mark(weight) for weight in _weights_of(modules) if not weight.is_meta]
    return hash(tuple(marks))


def _mark(weight: Tensor) -> tuple[int, int]:
    """Returns which tensor it is, and how often it was written to; inference tensors do not count that."""
    return id(weight), 0 if weight.is_inference() else weight._version  # pyright: ignore[reportPrivateUsage]


def _weights_of(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    found = list(modules)
    seen = set(found)
    for module in found:  # which grows; `parameters()` is slower
        for weight in module._parameters.values():  # pyright: ignore[reportPrivateUsage]
            if weight is not None:
                yield weight
        for child in module._modules.values():  # pyright: ignore[reportPrivateUsage]
            if child is not None and child not in seen:
                seen.add(child)
                found.append(child)
