"""save_controlnet: a ControlNet in ldm's, diffusers' or the difference layout, with its config, atomically."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..controlnet import ControlNet
from .base import Base, differences_to, encoder_weights
from .diffusers import from_ldm
from .diffusers_config import config_json
from .files import Progress, write_atomically, write_tensors
from .ldm import CONFIG_KEY, POOLED_KEY, PREFIX
from .wrappers import plain_weights, unwrapped

Layout = Literal["ldm", "diffusers", "difference"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
Weights = Mapping[str, Tensor]
#: The weights of a diffusers folder.
FOLDER_FILE = "diffusion_pytorch_model.safetensors"


def save_controlnet(
    net: nn.Module,
    path: str | Path,
    *,
    layout: Layout = "ldm",
    base: Base | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a ControlNet atomically as safetensors, its config in the metadata.

    Args:
        net: the ControlNet, also in torch.compile or DDP, or offloaded by accelerate; its dtypes are kept, but
            differences are float32.
        path: the file; for "diffusers" without the ending .safetensors a folder, with a config.json.
        layout: "ldm" (keys with `control_model.`, as released), "diffusers", or "difference" to `base`.
        base: the base model, for "difference".
        progress: called with (tensors written, tensors in all).

    Raises:
        TypeError: `net` is no ControlNet.
        ValueError: an unknown layout, a missing base or one of another family, or a shape diffusers cannot have.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}; it must be one of {', '.join(LAYOUTS)}.")
    if (base is None) == (layout == "difference"):
        raise ValueError("`base` is needed for the layout 'difference', and for it alone.")
    path, net = Path(path), _inner(net)
    tensors = WRITERS[layout](net, plain_weights(net), base)
    if layout == "diffusers" and path.suffix != ".safetensors":
        config = json.dumps(config_json(net), indent=2).encode()
        path.mkdir(exist_ok=True)
        write_tensors(tensors, path / FOLDER_FILE, metadata_of(net), progress)
        write_atomically(path / "config.json", lambda file: file.write(config))
    else:
        write_tensors(tensors, path, metadata_of(net), progress)


def metadata_of(net: ControlNet) -> dict[str, str]:
    """Returns what our files say of a net besides its weights."""
    pooled = {POOLED_KEY: "true"} if net.pooled else {}
    return {CONFIG_KEY: json.dumps(net.config.to_dict()), **pooled}


def _inner(net: nn.Module) -> ControlNet:
    inner = unwrapped(net)
    if not isinstance(inner, ControlNet):
        raise TypeError(
            f"`net` is a {type(inner).__name__}; give a cnet_core.ControlNet, or one in torch.compile or DDP."
        )
    return inner


def _ldm(net: ControlNet, weights: Weights, base: Base | None) -> dict[str, Tensor]:
    return {PREFIX + key: tensor for key, tensor in weights.items()}


def _diffusers(net: ControlNet, weights: Weights, base: Base | None) -> dict[str, Tensor]:
    names = from_ldm(weights.keys(), net.config)
    return {names[key]: tensor for key, tensor in weights.items()}


def _difference(net: ControlNet, weights: Weights, base: Base | None) -> dict[str, Tensor]:
    """All keys are written, also where nothing differs: ComfyUI does not fill in what is absent."""
    assert base is not None  # save_controlnet saw to it
    found = differences_to(weights, encoder_weights(base), "The ControlNet")
    return {"difference": torch.zeros(0), **{PREFIX + k: v for k, v in found.items()}}


WRITERS: Mapping[Layout, Callable[[ControlNet, Weights, Base | None], dict[str, Tensor]]] = {
    "ldm": _ldm,
    "diffusers": _diffusers,
    "difference": _difference,
}
