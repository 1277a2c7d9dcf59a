"""The difference format: a ControlNet as differences from its base; layers that the base lacks are whole."""

import torch
from torch import Tensor

from ...nets.controlnet import ControlNet
from ..base import check_base
from ..wrappers import plain_weights
from .format import Format, Weights, has
from .ldm import ANCHOR, PREFIX

MARKER = "difference"


def _complete(differences: Weights, base: Weights, path: str) -> dict[str, Tensor]:
    """Returns the ControlNet; keys without a difference equal the base's."""
    check_base(differences, base, path)
    dtype = next(iter(differences.values())).dtype
    whole = {key: base[key].to(dtype, copy=True) for key in base.keys() - differences.keys()}
    for key, value in differences.items():
        whole[key] = value if key not in base else _add(value, base[key], 1)
    return whole


def _write(net: ControlNet, base: Weights) -> dict[str, Tensor]:
    """Returns float32 differences for all keys, even zeros: ComfyUI does not fill in missing keys."""
    weights = plain_weights(net)
    check_base(weights, base, "The ControlNet")
    tensors = {
        PREFIX + key: value.float() if key not in base else _add(value.float(), base[key], -1)
        for key, value in weights.items()
    }
    return {MARKER: torch.zeros(0), **tensors}


def _add(value: Tensor, base: Tensor, sign: int) -> Tensor:
    """Returns value + sign * base in the dtype of `value`, computed in float32."""
    return (value.float() + sign * base.to(value.device, torch.float32)).to(value.dtype)


DIFFERENCE = Format(
    "difference",
    has(MARKER, ANCHOR),
    marker=MARKER,
    note="It holds differences from a base model: load it with `{base}`, the model it was made from.",
    complete=_complete,
    write=_write,
)
