"""Net: what a ControlUnit needs of a ControlNet."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from .config import UNetConfig
from .residuals import Residuals
from .text import Text


class Net(Protocol):
    """What a ControlUnit needs of a ControlNet; `cnet_core.ControlNet` is one."""

    config: UNetConfig
    hint_channels: int

    @property
    def dtype(self) -> torch.dtype: ...

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None: ...

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor: ...

    def residuals(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor | Text,
        y: Tensor | None = None,
        scales: Sequence[float] | None = None,
        *,
        control_types: Sequence[str] | None = None,
    ) -> Residuals:
        """Returns the residuals times scales; of a pooled net before they are pooled.

        The context is a Text only for nets whose attribute `keeps_text` is true.
        """
        ...


def is_pooled(net: Net) -> bool:
    """Whether a net's residuals are to be replaced by their means ("shuffle"); nets that do not say so are not."""
    return bool(getattr(net, "pooled", False))


def weights_version(net: object) -> int:
    """Returns a number that changes whenever an optimizer, or anybody else in place, changes the net's weights."""
    if not isinstance(net, nn.Module):
        return 0
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
