"""RowInputs: what a control net reads of some rows of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ....cnet_core.control.call import take
from ..host_types import Options


@dataclass(frozen=True)
class RowInputs:
    """The inputs of `get_control`, all for the same rows."""

    x: Tensor  # (B, C, ..., H, W), as the sampler has it
    sigmas: Tensor  # (B,)
    cond: Mapping[str, Any]
    options: Options

    def take(self, rows: list[int], pictures: int) -> "RowInputs":
        """Returns those of some rows, a view where they are neighbours.

        Args:
            rows: of the batch, in order.
            pictures: how many rows each chunk of the batch has.
        """
        batch = len(self.x)
        if len(rows) == batch:
            return self
        chunks = sorted({row // pictures for row in rows})
        options = take_options(self.options, chunks)
        cond = {name: _take(value, rows, batch) for name, value in self.cond.items()}
        if "transformer_options" in cond:
            cond["transformer_options"] = options
        return RowInputs(take(self.x, rows), take(self.sigmas, rows), cond, options)


def take_options(options: Options, chunks: list[int]) -> Options:
    """Returns a copy of transformer options for some chunks of a batch."""
    taken = {n: options[n] for n in ("cond_or_uncond", "uuids") if n in options}
    return {**options, **{n: [value[chunk] for chunk in chunks] for n, value in taken.items()}}


def _take(value: Any, rows: list[int], batch: int) -> Any:
    if isinstance(value, Tensor) and value.dim() > 0 and len(value) == batch:
        return take(value, rows)
    if isinstance(value, list):
        return [_take(entry, rows, batch) for entry in value]
    return value
