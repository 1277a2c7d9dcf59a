"""torch's layers for weights from a file: built on the meta device, cast to the input's dtype when used.

So a net can stay in a dtype that cannot compute (fp8) or hold several dtypes, and building one costs neither memory
nor random numbers.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Ops
from .few_pixels import FewPixels

#: Dtypes for storage only, in which no layer computes.
STORAGE_ONLY = (
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
)


def compute_dtype(stored: Tensor) -> torch.dtype:
    """Returns the dtype to compute in with a weight: its own; for fp8 float32 on a CPU, bfloat16 elsewhere."""
    if stored.dtype not in STORAGE_ONLY:
        return stored.dtype
    return torch.float32 if stored.device.type == "cpu" else torch.bfloat16


def _cast(weight: Tensor, bias: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor | None]:
    """Returns a layer's weight and bias in another tensor's dtype; asking first is faster than `to`."""
    if weight.dtype != like.dtype:
        weight = weight.to(like.dtype)
    if bias is not None and bias.dtype != like.dtype:
        bias = bias.to(like.dtype)
    return weight, bias


class _CastingOps:
    class Linear(nn.Linear):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, device="meta")

        def reset_parameters(self) -> None:
            """Does nothing: the weights come from a file."""

        def forward(self, input: Tensor) -> Tensor:
            return F.linear(input, *_cast(self.weight, self.bias, input))

    class Conv2d(FewPixels):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, device="meta")

        def reset_parameters(self) -> None:
            """Does nothing: the weights come from a file."""

        def forward(self, input: Tensor) -> Tensor:
            return self._conv_forward(input, *_cast(self.weight, self.bias, input))

    class GroupNorm(nn.GroupNorm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, device="meta")

        def reset_parameters(self) -> None:
            """Does nothing: the weights come from a file."""

        def forward(self, input: Tensor) -> Tensor:
            return F.group_norm(
                input, self.num_groups, *_cast(self.weight, self.bias, input), self.eps
            )

    class LayerNorm(nn.LayerNorm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs, device="meta")

        def reset_parameters(self) -> None:
            """Does nothing: the weights come from a file."""

        def forward(self, input: Tensor) -> Tensor:
            return F.layer_norm(
                input, self.normalized_shape, *_cast(self.weight, self.bias, input), self.eps
            )


#: torch.nn's layers, casting.
CASTING_OPS = cast(Ops, _CastingOps)
