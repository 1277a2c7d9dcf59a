"""Watch: norms by block and row, measured where control is added, fetched only on request.

The statistic is the 2-norm of each row's residual and of its feature map, over all channels and places. It takes one
pass over tensors that are in the cache anyway, and the host does not wait for it.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..control.rows import Row
from ..engine.stack import ControlStack
from ..engine.usage import RowState, Use
from ..nets.residuals import RowResiduals
from .record import Call, Numbers, Record

#: How many calls of the UNet are kept; for longer runs, the last ones.
LIMIT = 1024


@dataclass
class Watch:
    """One call of the UNet while it runs: collects facts as they come, and never waits for a device."""

    position: Tensor | float = 0.0  # () or (1,): a timestep or a noise level, as the host counts
    rows: tuple[Row, ...] = ()
    cfg_scale: float | None = None
    # Factories are lambdas, since `torch.compile` traces no call of `list[...]`.
    gains: list[tuple[float, ...]] = field(default_factory=lambda: [])
    states: list[tuple[RowState, ...]] = field(default_factory=lambda: [])
    scales: list[tuple[float, ...] | None] = field(default_factory=lambda: [])
    wanted: tuple[bool, ...] = ()  # by block: whether there is a residual
    controlled: tuple[int, ...] = ()  # rows that get residuals
    norms: list[Tensor] = field(default_factory=lambda: [])  # |residual|, |skip| in turn, (rows,)
    order: list[int] = field(default_factory=lambda: [])  # which block each pair of norms is of
    names: tuple[str, ...] = ()  # of the blocks, if a host's own control nets act
    # of what a host's own control nets add: block and rows, and |residual|, |feature| in turn, (rows,)
    others: list[tuple[int, tuple[int, ...]]] = field(default_factory=lambda: [])
    other_norms: list[Tensor] = field(default_factory=lambda: [])

    def record_uses(self, stack: ControlStack) -> None:
        """Records what the controls of a stack did in its last call."""
        self.gains += [use.gains for use in stack.uses]
        self.states += [use.states for use in stack.uses]
        self.scales += [use.scales for use in stack.uses]

    def insert_use(self, place: int, use: Use) -> None:
        """Notes what a host's own control net did, at its place among the others."""
        self.gains.insert(place, use.gains)
        self.states.insert(place, use.states)
        self.scales.insert(place, use.scales)

    def name_blocks(self, names: tuple[str, ...]) -> None:
        """Notes the blocks that a host's own control nets may add to."""
        self.names = names

    def add_norms(
        self, block: int, rows: tuple[int, ...], feature: Tensor, residual: Tensor
    ) -> None:
        """Notes the norms of what a host's own control nets add in some rows, (rows,) each."""
        self.others.append((block, rows))
        self.other_norms += (residual, feature)

    def expect(self, residuals: RowResiduals | None) -> None:
        """Records which blocks and rows will get residuals."""
        if residuals is not None:
            self.wanted = tuple(block is not None for block in residuals.residuals.blocks)
            self.controlled = residuals.rows

    def measure(self, block: int, feature: Tensor, residual: Tensor) -> None:
        """Measures a residual and its feature map, both (rows, C, H, W): the controlled rows, or all."""
        self.order.append(block)
        self.norms += [row_norms(residual), row_norms(feature)]

    def close(self) -> None:
        """Packs the norms into one small tensor; nothing is measured after this."""
        if len(self.norms) > 1:
            self.norms = [torch.stack(self.norms)]
        if len(self.other_norms) > 1:  # not of the same number of rows
            self.other_norms = [torch.cat(self.other_norms)]

    def fetch(self) -> None:
        """Copies the numbers to the CPU; only this waits for the device."""
        self.close()
        self.norms = [norms.cpu() for norms in self.norms]
        self.other_norms = [norms.cpu() for norms in self.other_norms]
        self.position = float(self.position)

    def call(self, percent_of: Callable[[float], float]) -> Call:
        """Returns the finished record of the call."""
        self.fetch()
        shape = (max(len(self.wanted), len(self.names)), len(self.rows))
        residuals = np.zeros(shape)
        wanted = [block for block, is_wanted in enumerate(self.wanted) if is_wanted]
        residuals[np.ix_(wanted, list(self.controlled))] = np.nan
        features = np.full(shape, np.nan)
        if self.norms:
            norms: Numbers = self.norms[0].double().numpy()
            norms = norms.reshape(len(self.order), 2, -1)
            rows = self.controlled if norms.shape[2] == len(self.controlled) else range(shape[1])
            places = np.ix_(self.order, list(rows))
            residuals[places], features[places] = norms[:, 0], norms[:, 1]
        for block, rows, added, before in self._list_others():
            place = (block, list(rows))
            residuals[place] = np.hypot(np.nan_to_num(residuals[place]), added)
            features[place] = np.where(np.isnan(features[place]), before, features[place])
        return Call(
            percent_of(float(self.position)),
            self.rows,
            self.cfg_scale,
            tuple(self.gains),
            tuple(self.states),
            residuals,
            features,
            self.names,
            tuple(self.scales),
        )

    def _list_others(self) -> Iterator[tuple[int, tuple[int, ...], Numbers, Numbers]]:
        """Gives block, rows, |residual| and |feature| of what a host's own control nets added."""
        start = 0
        for block, rows in self.others:
            norms: Numbers = self.other_norms[0][start : start + 2 * len(rows)].double().numpy()
            start += len(norms)
            yield block, rows, norms[: len(rows)], norms[len(rows) :]


class Recorder:
    """The last calls of a UNet, `LIMIT` of them; the numbers stay on the device until `record()`."""

    def __init__(self) -> None:
        self._watches: deque[Watch] = deque(maxlen=LIMIT)

    def add(self, watch: Watch) -> None:
        """Keeps a call and closes the one before."""
        if self._watches:
            self._watches[-1].close()
        self._watches.append(watch)

    def fetch(self) -> None:
        """Copies the numbers to the CPU, which waits for the device; at the end of a run that costs nothing."""
        for watch in self._watches:
            watch.fetch()

    def record(self, percent_of: Callable[[float], float]) -> Record:
        """Returns the recorded calls.

        Args:
            percent_of: turns a `Watch.position` into percent of the run.
        """
        return Record(tuple(watch.call(percent_of) for watch in self._watches))


def row_norms(tensor: Tensor) -> Tensor:
    """Returns the 2-norm of each row of (B, ...), in float32: (B,)."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    dims = tuple(range(1, tensor.dim()))
    if tensor.dtype == torch.float32:
        return cast(Tensor, torch.linalg.vector_norm(tensor, dim=dims))
    if tensor.dtype == torch.float64:
        return cast(Tensor, torch.linalg.vector_norm(tensor, dim=dims)).float()
    # In half precision the sum would overflow.
    return cast(Tensor, torch.linalg.vector_norm(tensor, dim=dims, dtype=torch.float32))
