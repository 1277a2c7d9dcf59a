"""The memory that residuals need besides the UNet's features."""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from .host_types import BaseModel


class ResidualSource(Protocol):
    """What residuals come from."""

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes of the residuals of latents; `element` is the size of one number."""
        ...


def widen_shape(
    noise_shape: Sequence[int], model: BaseModel, sources: Iterable[ResidualSource]
) -> list[int]:
    """Returns the shape of noise (N, ..., H, W) with a width at which the UNet needs as much as with the residuals."""
    rows = 2 * noise_shape[0]
    size = (noise_shape[-2], noise_shape[-1])
    element = model.get_dtype().itemsize
    ours = sum(source.memory(rows, *size, element) for source in sources)
    share = ours / max(1.0, model.memory_required([rows, *noise_shape[1:]]))
    return [*noise_shape[:-1], math.ceil(noise_shape[-1] * (1 + share))]
