"""ldm's format, that of the released files: the keys of cnet_core.ControlNet, with or without a prefix."""

from torch import Tensor

from ...nets.controlnet import ControlNet
from ..wrappers import plain_weights
from .format import Format, Weights, has

#: The prefix of a ControlNet's keys in full checkpoints, and in most files extracted from them.
PREFIX = "control_model."
#: The key that every file with ldm's names has.
ANCHOR = "zero_convs.0.0.weight"


def _write(net: ControlNet, base: Weights) -> dict[str, Tensor]:
    return {PREFIX + key: tensor for key, tensor in plain_weights(net).items()}


LDM = Format("ldm", has(ANCHOR), write=_write)
