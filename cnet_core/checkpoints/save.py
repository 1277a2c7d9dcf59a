"""save_controlnet: a ControlNet in ldm's, diffusers' or the difference layout, with its config, atomically."""

import json
from pathlib import Path
from typing import Literal, get_args

from torch import nn

from ..nets.controlnet import ControlNet
from .base import BaseWeights, encoder_weights
from .container.files import Progress, write_atomically, write_tensors
from .formats import FORMATS, Format
from .metadata import metadata_of
from .wrappers import unwrap_module

SaveLayout = Literal["ldm", "diffusers", "difference"]
LAYOUTS: tuple[SaveLayout, ...] = get_args(SaveLayout)
#: The layouts that hold differences, for messages.
NEED_BASE = " or ".join(repr(f.name) for f in FORMATS if f.needs_base and f.name in LAYOUTS)
#: The weights of a diffusers folder.
FOLDER_FILE = "diffusion_pytorch_model.safetensors"


def save_controlnet(
    net: nn.Module,
    path: str | Path,
    *,
    layout: SaveLayout = "ldm",
    base: BaseWeights | None = None,
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
    format = layout_format(layout)
    if (base is None) == format.needs_base:
        raise ValueError(f"`base` is needed for the layout {NEED_BASE}, and for it alone.")
    path, net = Path(path), _inner(net)
    tensors = format.write(net, {} if base is None else encoder_weights(base))
    if format.folder_config is None or path.suffix == ".safetensors":
        write_tensors(tensors, path, metadata_of(net), progress)
        return
    config = json.dumps(format.folder_config(net), indent=2).encode()
    path.mkdir(exist_ok=True)
    write_tensors(tensors, path / FOLDER_FILE, metadata_of(net), progress)
    write_atomically(path / "config.json", lambda file: file.write(config))


def layout_format(layout: str) -> Format:
    """Returns the format that a layout names. Raises ValueError if it is none of LAYOUTS."""
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}; it must be one of {', '.join(LAYOUTS)}.")
    return next(format for format in FORMATS if format.name == layout)


def _inner(net: nn.Module) -> ControlNet:
    inner = unwrap_module(net)
    if not isinstance(inner, ControlNet):
        raise TypeError(
            f"`net` is a {type(inner).__name__}; give a cnet_core.ControlNet, or one in torch.compile or DDP."
        )
    return inner
