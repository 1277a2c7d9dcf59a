"""Control-LoRA: a ControlNet as low-rank differences from its UNet; read here, and extracted by SVD."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ...nets.low_rank import add_low_rank, low_rank_difference
from ..base import check_base
from ..base_errors import OtherFamily
from ..shapes import Shapes
from .format import Format, has

#: The key that marks the format; it holds nothing.
MARKER = "lora_controlnet"
UP, DOWN = ".up", ".down"


@dataclass(frozen=True)
class LayerLoss:
    """The loss of one layer: |W - (base + up @ down)| / |W - base|, Frobenius norms, with the pair as it is stored."""

    key: str
    rank: int
    loss: float


def complete_low_rank(
    tensors: Mapping[str, Tensor], base: Mapping[str, Tensor], path: str
) -> dict[str, Tensor]:
    """Returns the whole ControlNet of a Control-LoRA, each weight in its dtype in the base.

    W = base + (up.flatten(1) @ down.flatten(1)).reshape (stability-ai's control-lora; there is no alpha). Layers
    given whole replace the base's; layers not given are the base's. Layers that the base lacks get its first dtype.
    """
    dtype = next(iter(base.values())).dtype
    whole = {
        k: v.to(base[k].dtype if k in base else dtype)
        for k, v in tensors.items()
        if not k.endswith((UP, DOWN))
    }
    for key in (k.removesuffix(UP) for k in tensors if k.endswith(UP)):
        weight = base.get(f"{key}.weight")
        if weight is None or key + DOWN not in tensors:
            what = "base layer" if weight is None else "`.down`"
            raise ValueError(
                f"{path} has {key}{UP} without its {what}: it is damaged or for another family."
            )
        up, down = tensors[key + UP], tensors[key + DOWN]
        count = up.shape[0] * down.flatten(1).shape[1]
        if count != weight.numel():
            raise OtherFamily(
                path, f"{key} gives {count} weights where the base has {weight.numel()}"
            )
        whole[f"{key}.weight"] = add_low_rank(weight, up, down)
    check_base(whole, base, path)
    left = {key: base[key].clone() for key in base.keys() - whole.keys()}  # not the base's own
    return {**left, **whole}


def extract_low_rank(
    weights: Mapping[str, Tensor],
    base: Mapping[str, Tensor],
    path: str,
    *,
    rank: int | None = None,
    energy: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Tensor], list[LayerLoss]]:
    """Returns a ControlNet as a Control-LoRA, and the loss of every layer.

    Args:
        weights: of the ControlNet. base: its base's, from `encoder_weights`. path: for messages.
        rank: how many singular values to keep per layer; or
        energy: keep the fewest that hold this fraction (0..1) of the squared difference.
        progress: called with (layers done, layers in all).
    """
    if (rank is None) == (energy is None):
        raise ValueError("Give exactly one of `rank` and `energy`.")
    if (rank is not None and rank < 1) or (energy is not None and not 0 < energy <= 1):
        raise ValueError(f"`rank` ({rank}) must be at least 1, `energy` ({energy}) in 0..1.")
    check_base(weights, base, path)
    found: dict[str, Tensor] = {MARKER: torch.zeros(0)}
    losses: list[LayerLoss] = []
    for index, (key, weight) in enumerate(weights.items(), start=1):
        if key in base and weight.dim() > 1:
            pair, loss = _factor_layer(key.removesuffix(".weight"), weight, base[key], rank, energy)
            found |= pair
            losses.append(loss)
        elif key not in base or not torch.equal(weight, base[key].to(weight)):
            found[key] = weight
        if progress is not None:
            progress(index, len(weights))
    return found, losses


def _factor_layer(
    layer: str, weight: Tensor, base: Tensor, rank: int | None, energy: float | None
) -> tuple[dict[str, Tensor], LayerLoss]:
    delta = (weight.float() - base.float()).flatten(1)
    if not bool(delta.any()):
        return {}, LayerLoss(layer, 0, 0.0)
    u, s, v = cast(tuple[Tensor, ...], torch.linalg.svd(delta, full_matrices=False))
    power = s.double().square()
    if energy is not None:
        rank = int((power.cumsum(0) < energy * power.sum()).sum()) + 1
    rank = min(rank or 1, len(s))
    ones = (1,) * (weight.dim() - 2)
    up = (u[:, :rank] * s[:rank]).reshape(-1, rank, *ones).to(weight.dtype)
    down = v[:rank].reshape(rank, *weight.shape[1:]).to(weight.dtype)
    lost = (delta - low_rank_difference(up, down)).square().sum() / delta.square().sum()
    return {layer + UP: up, layer + DOWN: down}, LayerLoss(layer, rank, float(lost) ** 0.5)


def _whole_shapes(stored: Shapes) -> Shapes:
    """Returns the shapes of the net's weights; a pair has the shape of its product."""
    found = {key: shape for key, shape in stored.items() if not key.endswith((UP, DOWN))}
    for key, up in stored.items():
        down = stored.get(key.removesuffix(UP) + DOWN)
        if key.endswith(UP) and down and up:
            found[f"{key.removesuffix(UP)}.weight"] = (up[0], *down[1:])
    return found


CONTROL_LORA = Format(
    "control-lora",
    has(MARKER),
    marker=MARKER,
    note="It holds low-rank differences from the UNet in use: load it with `{base}`.",
    whole_shapes=_whole_shapes,
    complete=complete_low_rank,
)
