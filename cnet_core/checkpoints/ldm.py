"""ControlNets in the layout of the released files: keys as in cnet_core.ControlNet, config as JSON in the metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..blocks import TORCH_OPS, Ops
from ..config import UNetConfig
from ..controlnet import ControlNet
from .files import read_tensors, write_tensors

#: Metadata key under which our files hold the UNetConfig.
CONFIG_KEY = "cnet_config"
Layout = Literal["ldm"]


def load_controlnet(
    path: str | Path,
    *,
    base: nn.Module | Mapping[str, Tensor] | str | Path | None = None,
    pooled: bool | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    ops: Ops = TORCH_OPS,
) -> ControlNet:
    """Returns the ControlNet of a safetensors file in ldm layout that `save_controlnet` wrote.

    Args:
        path: the file.
        base: only for files that hold differences to a base; such files are not read.
        pooled: only for "shuffle" files; such files are not read.
        dtype: None keeps the file's.
        device: where to put it.
        ops: where its layers come from.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a safetensors file, without our metadata, or of another layout.
    """
    if base is not None or pooled is not None:
        raise ValueError(
            "`base` and `pooled` belong to file formats that are not read; leave them out."
        )
    tensors, metadata = read_tensors(path)
    if CONFIG_KEY not in metadata:
        raise ValueError(
            f"{path} has no {CONFIG_KEY!r} in its metadata: only files of save_controlnet are read."
        )
    config = UNetConfig.from_dict(json.loads(metadata[CONFIG_KEY]))
    first = tensors.get("input_hint_block.0.weight")
    with torch.device("meta"):
        net = ControlNet(config, 3 if first is None else first.shape[1], ops)
    check_keys(net, tensors, str(path))
    net.load_state_dict(tensors, assign=True)
    return net.to(device=device, dtype=dtype).train(False)


def save_controlnet(net: ControlNet, path: str | Path, *, layout: Layout = "ldm") -> None:
    """Writes a ControlNet atomically as safetensors, its config in the metadata.

    Raises:
        ValueError: an unknown layout.
    """
    if layout != "ldm":
        raise ValueError(f"`layout` is {layout!r}; it must be 'ldm'.")
    write_tensors(net.state_dict(), path, {CONFIG_KEY: json.dumps(net.config.to_dict())})


def check_keys(module: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Raises ValueError that counts and shows what is missing, unexpected or of another shape."""
    want = cast(Mapping[str, Tensor], module.state_dict())
    problems = {
        "missing": sorted(want.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - want.keys()),
        "of another shape": sorted(
            k for k in want.keys() & tensors.keys() if want[k].shape != tensors[k].shape
        ),
    }
    found = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{' …' if keys[3:] else ''})"
        for what, keys in problems.items()
        if keys
    ]
    if found:
        raise ValueError(f"{name} does not fit a {type(module).__name__}: {'; '.join(found)}.")
