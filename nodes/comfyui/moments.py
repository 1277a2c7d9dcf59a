"""Moments: the predictions of a run that a Replay can repeat."""

from dataclasses import dataclass

from torch import Tensor

#: Where the middle of a run is, 0..1 of training time.
MIDDLE = 0.5


@dataclass(frozen=True)
class Moment:
    """One prediction of a sampling."""

    x: Tensor  # (N, C, H, W), the latents
    sigma: Tensor  # (N,), their noise level
    seed: int | None  # of the sampling


class RunMoments:
    """The first prediction with control, the first one past the middle of the run, and the last one."""

    def __init__(self) -> None:
        self._early: Moment | None = None
        self._middle: Moment | None = None
        self._late: Moment | None = None

    def add(self, moment: Moment, past_middle: bool) -> None:
        """Notes a prediction with control, and whether it is past the middle of the run."""
        if self._early is None:
            self._early = moment
        elif self._middle is None and past_middle:
            self._middle = moment
        self._late = moment

    def list(self) -> list[Moment]:
        """Returns those there are, in order, each once; the last one is the run's last."""
        early, middle, late = self._early, self._middle, self._late
        if early is None or late is None:
            return []
        between = [] if middle is None or middle is late else [middle]
        return [early, *between, *([] if late is early else [late])]
