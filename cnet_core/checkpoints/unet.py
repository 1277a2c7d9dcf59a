"""load_unet: a whole Stable Diffusion UNet from an ldm checkpoint, its UNet alone, or a diffusers folder."""

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..nets.config import UNetConfig
from ..nets.unet import UNet
from .diffusers_config import UnsupportedConfig, check_config, with_config_heads
from .diffusers_names import RES_BLOCK, to_ldm
from .keys import check_keys, unet_prefix
from .shapes import unet_config_of
from .source import WeightsSource, check_floating, open_source

#: Keys of a UNet's decoder, in ldm's names and in diffusers'.
DECODERS = ("output_blocks.0.0.in_layers.0.weight", "up_blocks.0.resnets.0.conv1.weight")
#: diffusers' last layers -> ldm's.
OUT = {"conv_norm_out": "out.0", "conv_out": "out.2"}


def load_unet(path: str | Path) -> UNet:
    """Returns the UNet of a checkpoint, in the dtype of the file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it holds no Stable Diffusion UNet, or a damaged one.
    """
    path = Path(path)
    source = open_source(path, "unet")
    names = unet_names(source.header.entries.keys())
    if not names:
        raise ValueError(
            f"{path} holds no Stable Diffusion UNet; give an SD1.x, SD2.x or SDXL checkpoint, or a diffusers folder."
        )
    check_floating(source, names)
    tensors = {names[key]: tensor for key, tensor in source.tensors(names).items()}
    config = _config(tensors, source)
    with torch.device("meta"):
        unet = UNet(config)
    check_keys(unet, tensors, str(path))
    unet.load_state_dict(tensors, assign=True)
    return unet


def unet_names(keys: Collection[str]) -> dict[str, str]:
    """Returns file key -> key of cnet_core.UNet for a UNet's weights; empty if there is none."""
    prefix = unet_prefix(keys, DECODERS)
    if prefix is None:
        return {}
    own = {k.removeprefix(prefix): k for k in keys if k.startswith(prefix)}
    if DECODERS[0] in own:
        return {old: key for key, old in own.items()}
    return {own[old]: new for old, new in to_ldm(own, _decoder_names(own)).items()}


def _config(tensors: Mapping[str, Tensor], source: WeightsSource) -> UNetConfig:
    try:
        check_config(source.config)
        found = unet_config_of({key: tuple(tensor.shape) for key, tensor in tensors.items()})
        return with_config_heads(found, source.config)
    except UnsupportedConfig as error:
        raise ValueError(f"{source.path} cannot be loaded. {error}") from error
    except ValueError as error:
        raise ValueError(
            f"{source.path} holds no complete Stable Diffusion UNet. {error}"
        ) from error


def _decoder_names(keys: Collection[str]) -> dict[str, str]:
    """Returns diffusers' name -> ldm's of every layer of the decoder."""
    names = dict(OUT)
    block = 0
    for level in range(_count(keys, "up_blocks")):
        place = f"up_blocks.{level}"
        for j in range(_count(keys, f"{place}.resnets")):
            ours = f"output_blocks.{block}"
            names |= {f"{place}.resnets.{j}.{a}": f"{ours}.0.{b}" for a, b in RES_BLOCK.items()}
            names[f"{place}.attentions.{j}"] = f"{ours}.1"
            block += 1
        behind = 2 if _count(keys, f"{place}.attentions") else 1
        names[f"{place}.upsamplers.0.conv"] = f"output_blocks.{block - 1}.{behind}.conv"
    return names


def _count(keys: Collection[str], place: str) -> int:
    start = f"{place}."
    return len({k[len(start) :].partition(".")[0] for k in keys if k.startswith(start)})
