"""Records what was computed, reused and skipped, for reports, X-rays and tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

#: The state of one row in one call: skipped without gain; evaluated; reused from an earlier step.
RowState = Literal["skipped", "evaluated", "reused"]


@dataclass(frozen=True)
class Use:
    """What one unit did in one call of the UNet, by row of the UNet's batch.

    Attributes:
        gains: strength x window x time curve x routing of each row.
        states: the state of each row.
        moved: how far the row's latents had moved since its residuals were last computed, relative to their
            norm; None if nothing was compared, infinite if they could not be compared.
        changes: for the rows evaluated again, in order, how far their residuals differ from the previous ones,
            relative to their norm: (rows,), or None. It bounds the error of the reused steps before, if errors
            grow with time. It is a tensor, so that only readers wait for the device.
        scales: of its blocks, without the time curve; None if it did nothing, or is a host's own control net.
    """

    gains: tuple[float, ...]
    states: tuple[RowState, ...]
    moved: tuple[float | None, ...]
    changes: Tensor | None = None
    scales: tuple[float, ...] | None = None

    @classmethod
    def without(cls, rows: int, gains: Sequence[float] | None = None) -> "Use":
        """Returns the use of a call with `rows` rows in which the unit did nothing."""
        given = (0.0,) * rows if gains is None else tuple(gains)
        return cls(given, ("skipped",) * rows, (None,) * rows)

    @classmethod
    def of(
        cls,
        gains: Sequence[float],
        evaluated: Sequence[int],
        moved: dict[int, float] | None = None,
        reused: Sequence[int] = (),
        changes: Tensor | None = None,
    ) -> "Use":
        """Returns the use of a call with these gains by row, in which some rows were evaluated and some reused."""
        done: dict[int, RowState] = {
            **dict.fromkeys(evaluated, "evaluated"),
            **dict.fromkeys(reused, "reused"),
        }
        rows = range(len(gains))
        return cls(
            tuple(gains),
            tuple(done.get(row, "skipped") for row in rows),
            tuple((moved or {}).get(row) for row in rows),
            changes,
        )

    def count(self, state: RowState) -> int:
        """Returns how many rows are in a state."""
        return self.states.count(state)


@dataclass
class Counts:
    """How much has been computed so far."""

    hint_encodings: int = 0
    evaluations: int = 0  # runs of a ControlNet
    rows: int = 0  # rows in these runs
    reused_rows: int = 0  # rows that reuse kept out of a run

    def add(self, other: "Counts") -> None:
        """Adds another's counts to these."""
        self.hint_encodings += other.hint_encodings
        self.evaluations += other.evaluations
        self.rows += other.rows
        self.reused_rows += other.reused_rows
