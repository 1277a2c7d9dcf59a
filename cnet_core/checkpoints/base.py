"""Base models: reads the encoder weights that a ControlNet shares with its UNet, and moves nets between bases."""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor, nn

from ..nets.encoder import SHARED
from .base_errors import NoUNet, OtherFamily
from .diffusers_config import UnsupportedConfig, check_config
from .diffusers_names import to_ldm
from .keys import unet_prefix
from .source import WeightsSource, check_floating, open_source
from .wrappers import plain_weights

#: Keys of a UNet's encoder, in ldm's names and in diffusers'.
ENCODERS = ("input_blocks.0.0.weight", "down_blocks.0.resnets.0.conv1.weight")
#: A base model: a UNet, its state dict, or a file or diffusers folder.
BaseWeights = nn.Module | Mapping[str, Tensor] | str | Path


def encoder_weights(base: BaseWeights) -> dict[str, Tensor]:
    """Returns the weights of a base model's encoder by ldm keys.

    Raises:
        FileNotFoundError: no such file.
        NoUNet: it holds no Stable Diffusion UNet.
        ValueError: the file is damaged, quantised, or its config is not supported.
    """
    if isinstance(base, str | Path):
        source = open_source(base, "unet")
        _check_source(source)
        names = _encoder_names(source.header.entries.keys())
        if not names:
            raise NoUNet(
                f"({base}) holds no Stable Diffusion UNet",
                "give the checkpoint, its UNet alone, or a diffusers folder",
            )
        check_floating(source, names)
        tensors: Mapping[str, Tensor] = source.tensors(names)
    else:
        tensors = plain_weights(base) if isinstance(base, nn.Module) else base
        names = _encoder_names(tensors.keys())
        if not names:
            raise NoUNet(
                f"is a {type(base).__name__} without a Stable Diffusion UNet's encoder",
                "give the UNet, its state dict or its file",
            )
    return {new: tensors[old] for old, new in names.items()}


def move_to_base(
    weights: Mapping[str, Tensor],
    base: Mapping[str, Tensor],
    new_base: Mapping[str, Tensor],
    path: str,
) -> dict[str, Tensor]:
    """Returns a ControlNet of one base for another: CN + base' - base, in the ControlNet's dtype."""
    check_base(weights, base, path)
    check_base(weights, new_base, path, "new_base")
    return {
        key: (value.float() + new_base[key].float() - base[key].float()).to(value.dtype)
        if key in base and key in new_base
        else value
        for key, value in weights.items()
    }


def check_base(
    shapes: Mapping[str, Tensor], base: Mapping[str, Tensor], path: str, name: str = "base"
) -> None:
    """Raises OtherFamily, which calls the base `name`, unless all common layers have the same shapes."""
    differ = sorted(k for k in shapes.keys() & base.keys() if shapes[k].shape != base[k].shape)
    if differ or not shapes.keys() & base.keys():
        example = (
            f"{differ[0]} is {list(shapes[differ[0]].shape)} here and {list(base[differ[0]].shape)} in the base"
            if differ
            else "they share no layer"
        )
        raise OtherFamily(path, example, name)


def _check_source(source: WeightsSource) -> None:
    """Raises ValueError if the config of a base asks for something unsupported."""
    try:
        check_config(source.config)
    except UnsupportedConfig as error:
        raise ValueError(f"`base` ({source.path}) cannot be used. {error}") from error


def _encoder_names(keys: Collection[str]) -> dict[str, str]:
    """Returns file key -> ldm key of the encoder's weights in a UNet or checkpoint."""
    prefix = unet_prefix(keys, ENCODERS)
    if prefix is None:
        return {}
    own = {k.removeprefix(prefix): k for k in keys if k.startswith(prefix)}
    names = {k: k for k in own} if ENCODERS[0] in own else to_ldm(own)
    return {own[old]: new for old, new in names.items() if new.startswith(SHARED)}
