"""ControlStack: one UNet call in, one Residuals out. The heart of the library."""

from collections.abc import Sequence

from .call import UNetCall
from .residuals import Residuals
from .unit import ControlUnit
from .unit_run import UnitRun
from .uses import Counts, Use

__all__ = ["ControlStack", "ControlUnit", "Counts", "UNetCall", "Use"]


class ControlStack:
    """The units on one UNet. Keeps what is worth keeping between steps; `clear()` drops it.

    Attributes:
        units: what acts.
        counts: what was computed so far.
        uses: what each unit did in the last call, in their order.
    """

    def __init__(self, units: Sequence[ControlUnit]) -> None:
        self.units = tuple(units)
        self.counts = Counts()
        self.uses: tuple[Use, ...] = ()
        self._runs = tuple(UnitRun(unit, self.counts) for unit in self.units)

    def clear(self) -> None:
        """Drops what was kept between steps."""
        for run in self._runs:
            run.clear()

    def residuals(self, call: UNetCall) -> Residuals | None:
        """Returns the sum over the units for all rows of the call; None where no unit acts."""
        total: Residuals | None = None
        for run in self._runs:
            part = run.residuals(call)
            if part is not None:
                total = part if total is None else total + part
        self.uses = tuple(run.use for run in self._runs)
        return total
