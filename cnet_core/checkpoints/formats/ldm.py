"""ldm's format, that of the released files: the keys of cnet_core.ControlNet, with or without a prefix."""

import logging

from torch import Tensor

from ...nets.controlnet import ControlNet
from ...nets.union import UnionControlNet
from ..wrappers import plain_weights
from .format import Format, Weights, has

#: The prefix of a ControlNet's keys in full checkpoints, and in most files extracted from them.
PREFIX = "control_model."
#: The key that every file with ldm's names has.
ANCHOR = "zero_convs.0.0.weight"


logger = logging.getLogger("cnet")


def _write(net: ControlNet, base: Weights) -> dict[str, Tensor]:
    if isinstance(net, UnionControlNet):
        logger.warning(
            "A Union ControlNet is written in the layout 'ldm', from which ComfyUI's own loader does not read its "
            "types. Choose the layout 'diffusers' for ComfyUI's loader."
        )
    return {PREFIX + key: tensor for key, tensor in plain_weights(net).items()}


LDM = Format("ldm", has(ANCHOR), write=_write)
