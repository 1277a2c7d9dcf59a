"""Net: the protocol of a ControlNet in a ControlUnit."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..nets.residuals import Residuals


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
