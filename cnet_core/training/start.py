"""load_start: an existing ControlNet as the net that a run begins with."""

from pathlib import Path

import torch

from ..checkpoints import load_controlnet
from ..checkpoints.base_errors import MissingBase
from ..nets.config import UNetConfig
from ..nets.controlnet import ControlNet
from ..nets.unet import UNet
from ..nets.union import UnionControlNet

#: Channels of the hints that training reads.
HINT_CHANNELS = 3


def load_start(path: Path, unet: UNet, *, lora_rank: int | None = None) -> ControlNet:
    """Returns the ControlNet of a file or folder of any format, in float32, to be trained on for this UNet.

    Args:
        path: the file or folder. With a `lora_rank` it must be whole, because `merge_lora` reads it without the UNet.
        unet: the base's.
        lora_rank: that of the run.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no ControlNet, a damaged or a Union one, or one that does not fit the UNet or the rank.
    """
    base = unet if lora_rank is None else None
    try:
        net = load_controlnet(path, base=base, dtype=torch.float32)
    except MissingBase as error:
        raise ValueError(
            f"`lora_rank` is {lora_rank}, but {path} has the format {error.format}, and a LoRA merges only into a "
            "whole ControlNet; write one with `cnet convert --base`, or omit `lora_rank`."
        ) from error
    check_start(net, unet.config, str(path))
    return net


def check_start(net: ControlNet, config: UNetConfig, name: str) -> None:
    """Raises ValueError, with the net's name, if a run on a UNet of this config cannot begin with it."""
    if isinstance(net, UnionControlNet):
        raise ValueError(
            f"{name} is a Union ControlNet, which takes hints of several types; choose a ControlNet for one type."
        )
    if net.hint_channels != HINT_CHANNELS:
        raise ValueError(
            f"{name} takes hints of {net.hint_channels} channels; training reads pictures of {HINT_CHANNELS}."
        )
    ours, theirs = _outline(net.config), _outline(config)
    if ours != theirs:
        raise ValueError(
            f"{name} does not fit the base: its blocks, text width and vector width are {ours}, the base's {theirs}. "
            "The two are of different families."
        )


def _outline(config: UNetConfig) -> tuple[tuple[int, ...], int, int | None]:
    """What a net and its UNet have in common, even where the net has fewer layers."""
    return tuple(b.out_channels for b in config.encoder), config.context_dim, config.y_dim
