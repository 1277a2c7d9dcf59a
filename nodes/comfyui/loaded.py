"""LoadedNet: a ControlNet of the library, as nodes exchange it, with ComfyUI's patcher of its weights."""

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
    """A Net that is its own NetSource. It computes in `dtype`, whatever dtype its weights have."""

    net: ControlNet
    patcher: Patcher
    dtype: torch.dtype
    exact: ControlNet | None = None  # in float32, if it was trained here and `net` is rounded

    @property
    def is_float32(self) -> bool:
        """Whether its weights are in float32."""
        return next(self.net.parameters()).dtype == torch.float32

    @property
    def pooled(self) -> bool:
        """As ControlNet.pooled."""
        return self.net.pooled

    @property
    def weights_version(self) -> int:
        """A constant: the weights do not change during a run, and counting versions costs host time."""
        return 0

    @property
    def hint_version(self) -> int:
        """A constant, as weights_version."""
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
        """The patchers that ComfyUI loads with the model."""
        return [self.patcher]

    def open(self, base_model: BaseModel, loaded: Sequence[Patcher]) -> "LoadedNet":
        """Returns the net with the weights on the device of the call.

        If a node moved only the model to another device, the layers move their weights there at every call.
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
        """Returns the bytes of the residuals, which need memory in addition to the UNet's features."""
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
    """Makes ComfyUI's layers cast their weights to their input's dtype and device at each call.

    On a GPU, the host needs as long for that as for the layer itself.
    """
    for layer in net.modules():
        if hasattr(layer, "comfy_cast_weights"):
            setattr(layer, "comfy_cast_weights", True)  # noqa: B010  (a switch, no weight: torch types it as one)


def uses_plain_weights(net: nn.Module) -> bool:
    """Whether ComfyUI's layers use their weights as they are: they neither cast nor patch them at each call."""
    names = ("comfy_cast_weights", "weight_function", "bias_function")
    return not any(getattr(layer, name, None) for layer in net.modules() for name in names)


def residual_bytes(config: BlockLayout, rows: int, height: int, width: int, element: int) -> int:
    """Returns the bytes of all residuals of a batch; `element` is the size of one number."""
    return rows * element * sum(prod(shape) for shape in config.block_shapes(height, width))
