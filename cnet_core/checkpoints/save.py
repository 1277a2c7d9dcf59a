"""save_controlnet: writes a ControlNet in one of the layouts, with its config, atomically."""

import json
from pathlib import Path

from torch import nn

from ..nets.controlnet import ControlNet
from ..nets.low_rank import LowRankControlNet, merge_low_rank
from .base import BaseWeights, encoder_weights
from .container.files import Progress, write_atomically, write_tensors
from .formats import FORMATS, LAYOUTS, SaveLayout, layout_format
from .metadata import metadata_of
from .wrappers import unwrap_module

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
        net: the ControlNet, even in torch.compile or DDP, or offloaded by accelerate. It keeps its dtypes, but
            differences are float32. A low-rank net is written whole.
        path: the file; for "diffusers" without the ending .safetensors a folder, with a config.json.
        layout: the format to write, described at `SaveLayout`.
        base: the base model, for the layouts that hold differences to it.
        progress: called with (tensors written, tensors in all).

    Raises:
        TypeError: `net` is no ControlNet.
        ValueError: an unknown layout, a missing base or one of another family, or a shape that diffusers cannot have.
    """
    format = layout_format(layout)
    if (base is None) == format.needs_base:
        raise ValueError(f"Give `base` with the layout {NEED_BASE}, and only then.")
    path, net = Path(path), _inner(net)
    tensors = format.write(net, {} if base is None else encoder_weights(base))
    if format.folder_config is None or path.suffix == ".safetensors":
        write_tensors(tensors, path, metadata_of(net), progress)
        return
    config = json.dumps(format.folder_config(net), indent=2).encode()
    path.mkdir(exist_ok=True)
    write_tensors(tensors, path / FOLDER_FILE, metadata_of(net), progress)
    write_atomically(path / "config.json", lambda file: file.write(config))


def _inner(net: nn.Module) -> ControlNet:
    inner = unwrap_module(net)
    if not isinstance(inner, ControlNet):
        raise TypeError(
            f"`net` is a {type(inner).__name__}; give a cnet_core.ControlNet, or one in torch.compile or DDP."
        )
    return merge_low_rank(inner) if isinstance(inner, LowRankControlNet) else inner
