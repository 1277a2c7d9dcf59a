"""ControlStack: takes one UNet call and returns the sum of all controls' Residuals."""

from collections.abc import Sequence
from typing import Protocol

from ..control.call import UNetCall
from ..control.unit import ControlUnit
from ..nets.residuals import Residuals, RowResiduals
from .unit_run import UnitRun
from .usage import Counts, Use

__all__ = ["ControlStack", "ControlUnit", "Counts", "UNetCall", "Use"]


class Contributor(Protocol):
    """One control at work: a UnitRun, or a host's substitute that opens the net only when needed.

    Attributes:
        use: what it did in the last call.
    """

    use: Use

    def contribute(self, call: UNetCall) -> RowResiduals | None:
        """Returns the residuals for the rows that the control acts on; None if it does not act."""
        ...

    def clear(self) -> None:
        """Drops everything kept between steps."""
        ...


class ControlStack:
    """The controls of one UNet call, summed. Their caches last until `clear()`.

    Attributes:
        counts: what they have computed so far.
        uses: what each control did in the last call, in order.
    """

    def __init__(self, units: Sequence[ControlUnit] = ()) -> None:
        self.counts = Counts()
        self.uses: tuple[Use, ...] = ()
        self._contributors: tuple[Contributor, ...] = tuple(
            UnitRun(unit, self.counts) for unit in units
        )

    @classmethod
    def of(cls, contributors: Sequence[Contributor], counts: Counts) -> "ControlStack":
        """Returns the stack of controls that a host keeps itself; they add to `counts`."""
        stack = cls()
        stack.counts, stack._contributors = counts, tuple(contributors)
        return stack

    def clear(self) -> None:
        """Drops what was kept between steps."""
        for contributor in self._contributors:
            contributor.clear()

    def sum_rows(self, call: UNetCall) -> RowResiduals | None:
        """Returns the sum over the controls for the controlled rows; None if no control acts."""
        total: RowResiduals | None = None
        for contributor in self._contributors:
            part = contributor.contribute(call)
            if part is not None:
                total = part if total is None else total + part
        self.uses = tuple(contributor.use for contributor in self._contributors)
        return total

    def residuals(self, call: UNetCall) -> Residuals | None:
        """Returns the sum over the controls for all rows of the call; None if no control acts."""
        total = self.sum_rows(call)
        return None if total is None else total.expand()
