"""LoadedNet: one of our ControlNets as it travels between nodes, with ComfyUI's patcher of its weights."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from ...cnet_core import ControlNet, Residuals, UNetConfig
from ...cnet_core.control.net import BlockLayout
from .host_types import BaseModel, Patcher


@dataclass(frozen=True)
class LoadedNet:
    """A Net and the Source of itself. It computes in `dtype`, whatever its weights are kept in."""

    net: ControlNet
    patcher: Patcher
    dtype: torch.dtype
    exact: ControlNet | None = None  # in float32, where training made it and `net` is rounded

    @property
    def is_float32(self) -> bool:
        """Whether its weights are kept in float32."""
        return next(self.net.parameters()).dtype == torch.float32

    @property
    def pooled(self) -> bool:
        """As ControlNet.pooled."""
        return self.net.pooled

    @property
    def weights_version(self) -> int:
        """A constant: nobody changes the weights during a run, and counting them costs the host time."""
        return 0

    @property
    def config(self) -> UNetConfig:
        """The shape of the net."""
        return self.net.config

    @property
    def hint_channels(self) -> int:
        """Channels of the hint."""
        return self.net.hint_channels

    @property
    def key(self) -> str:
        """Equal for equal weights."""
        return str(id(self.net))

    @property
    def patchers(self) -> list[Patcher]:
        """What ComfyUI loads with the model."""
        return [self.patcher]

    def open(self, base_model: BaseModel, loaded: Sequence[Patcher]) -> "LoadedNet":
        """Returns itself with the weights that are loaded on the device of the call.

        Where a node chose another device for the model alone, layers bring their weights there at every call.
        """
        if loaded[0].load_device != base_model.device:
            cast_weights(loaded[0].model)
        return LoadedNet(loaded[0].model, loaded[0], self.dtype)

    def on_device(self, device: torch.device) -> "LoadedNet":
        """Returns a copy of the net for a further GPU."""
        from .patcher import patcher_of

        net = copy.deepcopy(self.net)
        return LoadedNet(net, patcher_of(net, device, torch.device("cpu")), self.dtype)

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes of the residuals, which live beside the UNet's own features."""
        return residual_bytes(self.config, rows, height, width, element)

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """As ControlNet.check_types."""
        self.net.check_types(hints, control_types)

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor:
        """As ControlNet.hint_features."""
        return self.net.hint_features(hint, control_types)

    @property
    def residuals(self) -> Callable[..., Residuals]:
        """ControlNet.residuals."""
        return self.net.residuals

    def close(self) -> None:
        """As ControlNet.close."""
        self.net.close()


def cast_weights(net: nn.Module) -> None:
    """Has every layer of ComfyUI's bring its weights to its input's dtype and device at each call.

    On a GPU that takes the host as long as the layer itself.
    """
    for layer in net.modules():
        if hasattr(layer, "comfy_cast_weights"):
            setattr(layer, "comfy_cast_weights", True)  # noqa: B010  (a switch, no weight: torch types it as one)


def residual_bytes(config: BlockLayout, rows: int, height: int, width: int, element: int) -> int:
    """Returns the bytes of all residuals of a batch; `element` is the size of one number."""
    return rows * element * sum(prod(shape) for shape in config.block_shapes(height, width))
