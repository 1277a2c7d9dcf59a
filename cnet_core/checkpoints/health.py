"""Checks every weight of a ControlNet: NaN and infinities, an untrained net, denormals, a mix of dtypes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .source import WeightsSource

#: The 1x1 convs that all control passes through; in a trained net none of them is all zero.
OUTPUTS = ("zero_convs.", "middle_block_out.")
#: From this fraction of a layer's weights, denormals are reported: they are slow, and GPUs flush them to 0.
DENORMAL_SHARE = 0.01


def weight_findings(
    source: WeightsSource, names: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns (problems, notes) of the weights.

    Args:
        source: the file.
        names: file key -> ControlNet key, for the ControlNet's weights.
    """
    broken: list[str] = []
    denormal: list[str] = []
    outputs: dict[str, bool] = {}
    for old, weight in source.tensors(names).items():
        new = names[old]
        if not weight.is_floating_point():
            continue
        weight = weight.float()
        if not bool(torch.isfinite(weight).all()):
            broken.append(new)
        if _denormal_share(weight) > DENORMAL_SHARE:
            denormal.append(new)
        if new.startswith(OUTPUTS):
            outputs[new] = not bool(weight.any())
    return _problems(broken), _notes(denormal, outputs)


def _problems(broken: list[str]) -> tuple[str, ...]:
    if not broken:
        return ()
    return (
        f"{_name_first(broken)} hold NaN or infinite values: the file is damaged or its training diverged; use another "
        "copy or an earlier step.",
    )


def _notes(denormal: list[str], outputs: Mapping[str, bool]) -> tuple[str, ...]:
    notes: list[str] = []
    if outputs and all(outputs.values()):
        notes.append("All zero convs are zero: the net is untrained and changes nothing; train it.")
    elif any(zero for key, zero in outputs.items() if key.endswith("weight")):
        silent = [k for k, zero in outputs.items() if zero and k.endswith("weight")]
        notes.append(f"{_name_first(silent)} are zero: these blocks add nothing.")
    if denormal:
        notes.append(
            f"{_name_first(denormal)} hold denormal numbers, which are slow and vanish on GPUs; in float16 they are "
            "zero (`cnet convert --dtype float16`)."
        )
    return tuple(notes)


def _denormal_share(weight: Tensor) -> float:
    tiny = torch.finfo(torch.float32).tiny
    count = (weight != 0) & (weight.abs() < tiny)
    return float(count.float().mean()) if weight.numel() else 0.0


def _name_first(keys: list[str]) -> str:
    return f"{len(keys)} tensors ({', '.join(keys[:3])}{' …' if keys[3:] else ''})"
