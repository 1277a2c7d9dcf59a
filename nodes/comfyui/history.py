"""History: what the last runs of one MODEL injected, identified by the latents that they produced."""

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...cnet_core.control.clock import PercentToSigma, percent_of
from ...cnet_core.xray import Record, Recorder

if TYPE_CHECKING:
    from .replay import Replay

#: How many runs one MODEL remembers.
KEPT = 8
#: How many numbers of each run's latents are kept.
SAMPLES = 1024
#: How far they may differ, relative to their norm: ComfyUI may keep latents in half precision.
TOLERANCE = 0.005


@dataclass(frozen=True)
class Past:
    """A finished run; none of it is on a device."""

    recorder: Recorder
    percent_to_sigma: PercentToSigma
    shape: tuple[int, ...]
    latents: Tensor  # SAMPLES of them, or all
    replay: "Replay | None"  # None if no step had control, or if it is replaced
    replaced: bool = False  # whether the replay of a later run took its place

    @property
    def record(self) -> Record:
        """What the run injected."""
        return self.recorder.record(lambda sigma: percent_of(sigma, self.percent_to_sigma))


class History:
    """The last `KEPT` finished runs of a MODEL. It lives as long as the MODEL, whatever ComfyUI's caches do.

    A replay holds the ControlNets of its run. `replays` says how many of the runs keep theirs.
    """

    def __init__(self, replays: int = KEPT) -> None:
        self._runs: deque[Past] = deque(maxlen=KEPT)
        self._replays = replays

    def add(
        self,
        recorder: Recorder,
        percent_to_sigma: PercentToSigma,
        latents: Tensor,
        replay: "Replay | None",
    ) -> None:
        """Stores a run under the latents that it produced."""
        recorder.fetch()
        shape = tuple(latents.shape)
        self._runs.append(Past(recorder, percent_to_sigma, shape, _take_samples(latents), replay))
        for i in range(len(self._runs) - self._replays):
            if self._runs[i].replay is not None:
                self._runs[i] = replace(self._runs[i], replay=None, replaced=True)

    def of(self, latents: Tensor) -> Past:
        """Returns the run that produced these latents, the last one if there are several.

        Raises:
            ValueError: no remembered run did.
        """
        taken = _take_samples(latents)
        there = [run for run in reversed(self._runs) if run.shape == tuple(latents.shape)]
        distances = [float((run.latents - taken).norm()) for run in there]
        best = min(range(len(there)), key=lambda k: distances[k], default=None)
        if best is None or distances[best] > TOLERANCE * float(taken.norm()):
            raise ValueError(
                "`samples` do not come from a sampler that used this `model`: connect the sampler's own output, "
                f"unchanged, and the same model that goes into the sampler. A model remembers its last {KEPT} runs."
            )
        return there[best]


def _take_samples(latents: Tensor) -> Tensor:
    """Returns `SAMPLES` of the numbers, evenly spread."""
    flat = latents.detach().flatten()
    places = torch.linspace(0, len(flat) - 1, min(len(flat), SAMPLES), dtype=torch.float64)
    return flat[places.round().long().to(flat.device)].float().cpu()
