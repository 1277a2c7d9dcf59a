"""Nets whose weights accelerate keeps elsewhere and loads layer by layer.

Source: accelerate 1.x, hooks.py: AlignDevicesHook is `_hf_hook` of each module, whose weights rest on the meta device.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import cast

from torch import Tensor, nn


def is_offloaded(net: nn.Module) -> bool:
    """Whether some of the net's weights are elsewhere, so that only accelerate may move them."""
    return any(weight.is_meta for weight in net.parameters())


def check_runs(net: nn.Module) -> None:
    """Raises ValueError if weights are elsewhere and no hook of accelerate would load them.

    A hook loads the weights of a module that is called; a net's own weights, such as a Union's, belong to none.
    """
    for name, module in _modules(net):
        own = [key for key, weight in module.named_parameters(recurse=False) if weight.is_meta]
        if own and (module is net or not hasattr(module, "_hf_hook")):
            place = f"{name}.{own[0]}".lstrip(".")
            raise ValueError(
                f"The ControlNet's weight {place} is on the meta device, and nothing loads it from there: a Union "
                "ControlNet cannot be offloaded by accelerate, and an empty net has no weights. Load it on a device."
            )


def state_of(net: nn.Module) -> Mapping[str, Tensor]:
    """Returns all of a net's weights, including those that accelerate keeps elsewhere.

    Raises:
        ValueError: weights are on the meta device, and accelerate has none of them.
    """
    if not is_offloaded(net):
        return net.state_dict()
    check_runs(net)
    aligned = import_module("accelerate.utils").align_module_device
    found: dict[str, Tensor] = {}
    for name, module in _modules(net):
        with aligned(module, "cpu"):
            own = {k: v.detach() for k, v in module.named_parameters(recurse=False)}
        found |= {f"{name}.{key}" if name else key: weight for key, weight in own.items()}
    return found


def _modules(net: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    return cast(Iterable[tuple[str, nn.Module]], net.named_modules())
