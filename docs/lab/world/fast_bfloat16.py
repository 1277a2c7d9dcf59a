"""Faster bfloat16 on CPUs with matrix units: two functions of torch that are slow there, replaced for this process.

One step of the base with 32 pictures of 128 px, one core with AMX: 1.34 s in float32, 0.79 s in bfloat16 with both.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def replace_slow_functions() -> None:
    """Replaces attention and group norm for bfloat16 tensors."""
    attend, normalise = F.scaled_dot_product_attention, F.group_norm

    def quick_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if q.dtype != torch.bfloat16:
            return attend(q, k, v)
        return ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(-1) @ v

    def quick_group_norm(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if x.dtype != torch.bfloat16:
            return normalise(x, *args, **kwargs)
        # The kernel for channels last is ten times slower than two copies.
        return normalise(x.contiguous(), *args, **kwargs).contiguous(
            memory_format=torch.channels_last
        )

    F.scaled_dot_product_attention = quick_attention
    F.group_norm = quick_group_norm
