"""ComfyUI's ModelPatchers of the library's modules, which load, offload and copy them."""

import copy
from typing import Any

import comfy.model_patcher
import torch
from torch import nn


def patcher_of(
    module: nn.Module,
    device: torch.device,
    offload: torch.device,
    disable_dynamic: bool = False,
) -> Any:
    """Returns a ModelPatcher of a module.

    Newer versions swap the class at start, so it is looked up at each call; `disable_dynamic` requests the plain class.
    """
    module_of = comfy.model_patcher
    plain = module_of.ModelPatcher
    kind = plain if disable_dynamic else getattr(module_of, "CoreModelPatcher", plain)
    return allow_copies_(kind(module, load_device=device, offload_device=offload))


def allow_copies_(patcher: Any) -> Any:
    """Gives a ModelPatcher the function that builds it again, for a copy on a further GPU, and returns it.

    Older versions do not use it.
    """
    if getattr(patcher, "cached_patcher_init", None) is None:
        patcher.cached_patcher_init = (
            _copy_patcher,
            (patcher.model, patcher.load_device, patcher.offload_device),
        )
    return patcher


def _copy_patcher(
    module: nn.Module, device: torch.device, offload: torch.device, disable_dynamic: bool = False
) -> Any:
    return patcher_of(copy.deepcopy(module), device, offload, disable_dynamic)
