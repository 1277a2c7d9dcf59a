"""load_controlnet: loads any ControlNet file, its weights straight from the memory map."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..nets.blocks import TORCH_OPS, Ops
from ..nets.controlnet import ControlNet
from .base import BaseWeights, encoder_weights
from .base_errors import MissingBase
from .diffusers_config import UnsupportedConfig, is_bgr
from .fingerprint import not_ours_sentence
from .foreign import kind_of, lookalike
from .formats import Format, format_of
from .keys import check_keys
from .source import WeightsSource, check_floating, open_source
from .structure import Structure, structure_of

#: The first layer of the hint encoder.
HINT = "input_hint_block.0.weight"


def load_controlnet(
    path: str | Path,
    *,
    base: BaseWeights | None = None,
    pooled: bool | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    ops: Ops = TORCH_OPS,
    compile: bool = False,
) -> ControlNet:
    """Returns the ControlNet of a file, or of a diffusers folder; Union files give a UnionControlNet.

    Formats: ldm with and without `control_model.`, full ldm checkpoints, diffusers, differences and Control-LoRA
    (both with `base`); .safetensors, and .pth, .ckpt, .bin without running code.

    Args:
        path: the file or folder.
        base: the base model, for files that hold differences from it: a UNet, its state dict, or its file.
        pooled: whether residuals are averaged over the picture ("shuffle"); None: as the file or folder says, else no.
        dtype: None keeps the file's (for a Control-LoRA the base's). Weights in fp8 or in several dtypes keep them
            and are cast when used.
        device: where to put it.
        ops: the classes of its layers.
        compile: whether its steps run through `torch.compile`: see ControlNet.compile_steps.

    Raises:
        FileNotFoundError: no such file. PermissionError: no permission to read it.
        BaseError (a ValueError): the file needs `base`, or `base` has another family or no UNet.
        ValueError: no ControlNet, or a damaged one.
    """
    source = open_source(path)
    format = _format(source)
    names = format.rename(source.header.entries.keys())
    check_floating(source, names)
    tensors = {names[key]: tensor for key, tensor in source.tensors(names).items()}
    if is_bgr(source.config) and HINT in tensors:
        tensors[HINT] = _reverse_channels(tensors[HINT])
    if format.complete is not None:
        tensors = format.complete(tensors, _base(source, format, base), str(source.path))
    net = _structure(source, tensors, pooled).build(ops)
    check_keys(net, tensors, str(source.path))
    net.load_state_dict(tensors, assign=True)
    # weights taken from a base may be on its device
    if dtype is not None or format.needs_base or torch.device(device).type != "cpu":
        net.to(device=device, dtype=dtype)
    if compile:
        net.compile_steps()
    return net.train(False)


def _reverse_channels(weight: Tensor) -> Tensor:
    """Returns a convolution's weight for input channels in the other order."""
    if weight.dim() != 4:
        return weight
    order = torch.arange(weight.shape[1] - 1, -1, -1)
    return weight[:, order]


def _format(source: WeightsSource) -> Format:
    keys = source.header.entries.keys()
    format, other = format_of(keys), lookalike(keys)
    if format is None or other is not None:
        raise ValueError(not_ours_sentence(source.path, other or kind_of(keys)))
    return format


def _base(source: WeightsSource, format: Format, base: BaseWeights | None) -> dict[str, Tensor]:
    if base is None:
        raise MissingBase(source.path, format.name)
    return encoder_weights(base)


def _structure(
    source: WeightsSource, tensors: Mapping[str, Tensor], pooled: bool | None
) -> Structure:
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    try:
        found = structure_of(shapes, source.header.metadata, source.config)
    except UnsupportedConfig as error:
        raise ValueError(f"{source.path} cannot be loaded. {error}") from error
    except ValueError as error:
        raise ValueError(f"{source.path} is not a complete ControlNet. {error}") from error
    if pooled is None:
        return found
    return Structure(found.config, found.hint_channels, found.num_types, pooled)
