"""The rows of a UNet batch: the branch of guidance and the picture of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from .routing import Branch


@dataclass(frozen=True)
class Row:
    """One row of a UNet batch: its branch of guidance, and which picture of the batch it belongs to."""

    branch: Branch
    picture: int = 0

    def __post_init__(self) -> None:
        if self.branch not in ("cond", "uncond"):
            raise ValueError(f"`branch` is {self.branch!r}; a row is 'cond' or 'uncond'.")
        if self.picture < 0:
            raise ValueError(f"`picture` is {self.picture}; pictures count from 0.")


#: Branches, one for each equal part of a batch; or Rows, one for each row of it.
RowLayout = Sequence[Branch] | Sequence[Row]


def rows_of(layout: RowLayout, batch: int) -> tuple[Row, ...]:
    """Returns the rows of a batch.

    A layout of branches divides the batch into that many equal parts, in order, each with all pictures: ("uncond",
    "cond") is guidance in one batch, ("cond",) none, ("uncond", "cond", "cond") two prompts for each picture. A
    layout of Rows gives each row separately, for batches in any other order.

    Raises:
        ValueError: the batch cannot be divided into that many parts, or has another number of rows than the layout.
        TypeError: branches and Rows are mixed, or the layout is a text instead of a sequence.
    """
    if isinstance(layout, str):
        raise TypeError(
            f"`rows` is the text {layout!r}; give a sequence of branches: ({layout!r},)."
        )
    said = [row for row in layout if isinstance(row, Row)]
    if not said:
        return _parts(cast(Sequence[Branch], layout), batch)
    if len(said) != len(layout):
        raise TypeError(f"`rows` mixes branches and Rows: {tuple(layout)}; give one or the other.")
    if len(said) != batch:
        raise ValueError(
            f"The UNet was called with {batch} rows, but `rows` has {len(said)} Rows: give one for each, or branches "
            "such as ('uncond', 'cond'), which fit any number of pictures."
        )
    return tuple(said)


def _parts(branches: Sequence[Branch], batch: int) -> tuple[Row, ...]:
    if not branches or batch % len(branches):
        raise ValueError(
            f"The UNet was called with {batch} rows, which cannot be divided into {len(branches)} equal parts "
            f"{tuple(branches)}: name the batch's branches in `rows`, for example ('cond',) without guidance."
        )
    count = batch // len(branches)
    return tuple(Row(branch, picture) for branch in branches for picture in range(count))
