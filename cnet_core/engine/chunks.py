"""Chunks: runs a batch at once if memory allows it, else in halves, quarters, …; the numbers are the same."""

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from ..nets.residuals import Residuals

logger = logging.getLogger("cnet")

T = TypeVar("T")


class Chunks:
    """Runs work on a list of rows, and remembers how many fit into memory at once.

    Rows do not affect each other in a ControlNet, so parts give the same results as the whole batch, except for the
    last digits, which kernels may round differently for another batch size.
    """

    def __init__(self) -> None:
        self._most: int | None = None

    def join_residuals(
        self, rows: list[int], compute: Callable[[list[int]], Residuals]
    ) -> Residuals:
        """Returns the residuals of all rows.

        Raises:
            torch.OutOfMemoryError: even one row does not fit.
        """
        parts = self._compute_parts(rows, compute)
        if len(parts) == 1:
            return parts[0]
        by_block = zip(*(part.blocks for part in parts), strict=True)
        return Residuals.of([_concatenate(list(blocks)) for blocks in by_block])

    def join_tensors(self, rows: list[int], compute: Callable[[list[int]], Tensor]) -> Tensor:
        """Returns the tensor (rows, ...) of all rows; as `join_residuals`."""
        parts = self._compute_parts(rows, compute)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _compute_parts(self, rows: list[int], compute: Callable[[list[int]], T]) -> list[T]:
        while True:
            size = len(rows) if self._most is None else min(self._most, len(rows))
            try:
                return [compute(rows[i : i + size]) for i in range(0, len(rows), size)]
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            self._most = (size + 1) // 2
            logger.info(
                "Not enough memory for %d rows of a ControlNet; trying %d.", size, self._most
            )


def _concatenate(blocks: list[Tensor | None]) -> Tensor | None:
    """Returns one block's residuals of all parts; None if no part has any."""
    there = [block for block in blocks if block is not None]
    return torch.cat(there) if there else None
