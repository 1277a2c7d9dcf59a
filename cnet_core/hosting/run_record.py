"""RunRecord: what a run injected, for the X-ray and for its leave-one-out."""

from ..engine.tracing import never_trace
from ..nets.residuals import RowResiduals
from ..xray import Recorder, Watch


class RunRecord:
    """What a run injected.

    Attributes:
        recorder: the calls of the UNet.
        injections: how many calls got control.
        left_out: blocks that get nothing; while it is a set, even an empty one, nothing is recorded.
    """

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.injections = 0
        self.left_out: frozenset[int] | None = None

    def filter(self, watch: Watch, residuals: RowResiduals | None) -> RowResiduals | None:
        """Returns the residuals to inject in a call, and tells the watch which blocks and rows get any."""
        if self.left_out is not None:
            return None if residuals is None else residuals.without(self.left_out)
        watch.expect(residuals)
        self.injections += residuals is not None
        return residuals

    @never_trace
    def add(self, watch: Watch) -> None:
        """Stores the record of a finished call. Calls on other devices may still be running."""
        if self.left_out is None:
            watch.close()
            self.recorder.add(watch)
