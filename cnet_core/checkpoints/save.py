"""save_controlnet: a ControlNet in ldm's, diffusers' or the difference layout, with its config, atomically."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from ..controlnet import ControlNet
from .base import Base, differences_to, encoder_weights
from .diffusers import config_json, from_ldm
from .files import Progress, write_atomically, write_tensors
from .ldm import CONFIG_KEY, POOLED_KEY, PREFIX
from .source import FOLDER_FILES

Layout = Literal["ldm", "diffusers", "difference"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)


def save_controlnet(
    net: ControlNet,
    path: str | Path,
    *,
    layout: Layout = "ldm",
    base: Base | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a ControlNet atomically as safetensors, its config in the metadata.

    Args:
        net: the ControlNet; its dtypes are kept, but differences are float32.
        path: the file; for "diffusers" without the ending .safetensors a folder, with a config.json.
        layout: "ldm" (keys with `control_model.`, as released), "diffusers", or "difference" to `base`.
        base: the base model, for "difference".
        progress: called with (tensors written, tensors in all).

    Raises:
        ValueError: an unknown layout, a missing base or one of another family, or a shape diffusers cannot have.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}; it must be one of {', '.join(LAYOUTS)}.")
    if (base is None) == (layout == "difference"):
        raise ValueError("`base` is needed for the layout 'difference', and for it alone.")
    path = Path(path)
    tensors = WRITERS[layout](net, base)
    if layout == "diffusers" and path.suffix != ".safetensors":
        config = json.dumps(config_json(net), indent=2).encode()
        path.mkdir(exist_ok=True)
        write_tensors(tensors, path / FOLDER_FILES[0], metadata_of(net), progress)
        write_atomically(path / "config.json", lambda file: file.write(config))
    else:
        write_tensors(tensors, path, metadata_of(net), progress)


def metadata_of(net: ControlNet) -> dict[str, str]:
    """Returns what our files say of a net besides its weights."""
    pooled = {POOLED_KEY: "true"} if net.pooled else {}
    return {CONFIG_KEY: json.dumps(net.config.to_dict()), **pooled}


def _ldm(net: ControlNet, base: Base | None) -> dict[str, Tensor]:
    return {PREFIX + key: tensor for key, tensor in net.state_dict().items()}


def _diffusers(net: ControlNet, base: Base | None) -> dict[str, Tensor]:
    tensors = net.state_dict()
    names = from_ldm(tensors.keys(), net.config)
    return {names[key]: tensor for key, tensor in tensors.items()}


def _difference(net: ControlNet, base: Base | None) -> dict[str, Tensor]:
    """All keys are written, also where nothing differs: ComfyUI does not fill in what is absent."""
    assert base is not None  # save_controlnet saw to it
    found = differences_to(net.state_dict(), encoder_weights(base), "The ControlNet")
    return {"difference": torch.zeros(0), **{PREFIX + k: v for k, v in found.items()}}


WRITERS: Mapping[Layout, Callable[[ControlNet, Base | None], dict[str, Tensor]]] = {
    "ldm": _ldm,
    "diffusers": _diffusers,
    "difference": _difference,
}
