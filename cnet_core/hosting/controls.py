"""Controls: the controls at work in one run, by model, latent size and pictures."""

from collections.abc import Hashable, Sequence
from typing import Any

from ..control.call import UNetCall
from ..control.gains import time_factors
from ..engine.stack import ControlStack
from ..engine.unit_run import UnitRun
from ..engine.usage import Counts, Use
from ..nets.residuals import RowResiduals
from .open_nets import OpenNets
from .unit_spec import UnitSpec


class SpecRun:
    """One UnitSpec at work for a model, a latent size and a set of pictures. It opens its net when it first acts.

    Attributes:
        use: what it did in the last call.
    """

    def __init__(
        self,
        spec: UnitSpec,
        nets: OpenNets,
        model: Any,
        size: tuple[int, int],
        frames: tuple[int, ...],
        shown: tuple[int, ...],
        counts: Counts,
    ) -> None:
        self.spec = spec
        self.use = Use.without(0)
        self._nets, self._model, self._counts = nets, model, counts
        self._size, self._frames, self._shown = size, frames, shown
        self._run: UnitRun | None = None

    def contribute(self, call: UNetCall) -> RowResiduals | None:
        """As UnitRun.contribute."""
        factors = self._filter_frames(time_factors(self.spec, call.clock), call)
        self.use = Use.without(len(factors))
        if self._run is None and any(factors):
            net = self._nets.open(self.spec.source, self._model)
            unit = self.spec.unit(net, *self._size, self._frames, self._shown)
            self._run = UnitRun(unit, self._counts)
        if self._run is None:
            return None
        part = self._run.contribute(call, factors)
        self.use = self._run.use
        return part

    def _filter_frames(self, factors: tuple[float, ...], call: UNetCall) -> tuple[float, ...]:
        strengths = self.spec.frame_strengths
        if strengths is None:
            return factors
        return strengths.filter_gains(factors, [self._shown[row.picture] for row in call.rows])

    def clear(self) -> None:
        """Drops what was kept between steps."""
        if self._run is not None:
            self._run.clear()


class Controls:
    """The controls at work in one run: those of its MODEL and those that arrive call by call, looked up by value.

    Context windows may cover other pictures at each step, and each set has its own hints. So a control is kept for
    the current noise level and the previous one.

    Attributes:
        counts: how much the run has computed.
    """

    def __init__(self, nets: OpenNets) -> None:
        self.counts = Counts()
        self._nets = nets
        self._sigma: float | None = None
        self._now: dict[Hashable, SpecRun] = {}
        self._before: dict[Hashable, SpecRun] = {}

    def begin(self, sigma: float) -> None:
        """Starts a call at a noise level; a new level drops the controls that the last one did not use."""
        if sigma == self._sigma:
            return
        for run in self._before.values():
            run.clear()
        self._before, self._now, self._sigma = self._now, {}, sigma

    def stack(
        self,
        specs: Sequence[UnitSpec],
        model: Any,
        size: tuple[int, int],
        frames: tuple[int, ...],
        shown: tuple[int, ...] | None = None,
    ) -> ControlStack:
        """Returns the stack of the controls of one call.

        Args:
            specs: in the order of addition.
            model: whose UNet is called.
            size: height and width of the latents.
            frames: which hint each picture of the call has.
            shown: which picture of the whole batch each of them is; None: `frames`.
        """
        pictures = (frames, frames if shown is None else shown)
        return ControlStack.of([self._find(s, model, size, *pictures) for s in specs], self.counts)

    def _find(
        self,
        spec: UnitSpec,
        model: Any,
        size: tuple[int, int],
        frames: tuple[int, ...],
        shown: tuple[int, ...],
    ) -> SpecRun:
        key = (spec.key, id(model), size, frames, shown)
        if key not in self._now:
            kept = self._before.pop(key, None)
            if kept is None:
                kept = SpecRun(spec, self._nets, model, size, frames, shown, self.counts)
            self._now[key] = kept
        return self._now[key]

    def clear(self) -> None:
        """Drops everything kept."""
        for run in (*self._now.values(), *self._before.values()):
            run.clear()
        self._now.clear()
        self._before.clear()
