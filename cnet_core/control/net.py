"""Net: the protocol of a ControlNet in a ControlUnit."""

from collections.abc import Sequence
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
        """A number that changes whenever the weights do; a constant if they cannot change during a run."""
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


def count_writes(net: nn.Module) -> int:
    """Returns a number that changes whenever an optimizer or other code changes a module's weights in place."""
    version, modules, seen = 0, [net], {net}
    for module in modules:  # which grows; `parameters()` is slower
        for weight in module._parameters.values():  # pyright: ignore[reportPrivateUsage]
            if weight is not None and not weight.is_inference():  # those have no version
                version += weight._version  # pyright: ignore[reportPrivateUsage]
        for child in module._modules.values():  # pyright: ignore[reportPrivateUsage]
            if child is not None and child not in seen:
                seen.add(child)
                modules.append(child)
    return version
