"""History: what was injected in the last samplings of one MODEL, found again by the latents that they made."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...cnet_core.control.clock import PercentToSigma, percent_of
from ...cnet_core.xray import Record, Recorder

if TYPE_CHECKING:
    from .replay import Replay

#: Samplings that one MODEL remembers.
KEPT = 8
#: Numbers that are kept of the latents of each.
SAMPLES = 1024
#: By how much of their norm they may differ: ComfyUI may keep latents in half precision.
TOLERANCE = 0.005


@dataclass(frozen=True)
class Past:
    """A finished sampling; nothing of it is on a device."""

    recorder: Recorder
    percent_to_sigma: PercentToSigma
    shape: tuple[int, ...]
    latents: Tensor  # SAMPLES of them, or all
    replay: "Replay | None"  # None where there was no control at any step

    @property
    def record(self) -> Record:
        """What was injected."""
        return self.recorder.record(lambda sigma: percent_of(sigma, self.percent_to_sigma))


class History:
    """The last `KEPT` finished samplings of a MODEL. It lives with the MODEL, whatever ComfyUI's caches do."""

    def __init__(self) -> None:
        self._runs: deque[Past] = deque(maxlen=KEPT)

    def add(
        self,
        recorder: Recorder,
        percent_to_sigma: PercentToSigma,
        latents: Tensor,
        replay: "Replay | None",
    ) -> None:
        """Remembers a sampling by the latents that came out of it."""
        recorder.fetch()
        shape = tuple(latents.shape)
        self._runs.append(Past(recorder, percent_to_sigma, shape, _take_samples(latents), replay))

    def of(self, latents: Tensor) -> Past:
        """Returns the sampling that made these latents, the last one if there were several.

        Raises:
            ValueError: none that is remembered did.
        """
        taken = _take_samples(latents)
        there = [run for run in reversed(self._runs) if run.shape == tuple(latents.shape)]
        distances = [float((run.latents - taken).norm()) for run in there]
        best = min(range(len(there)), key=lambda k: distances[k], default=None)
        if best is None or distances[best] > TOLERANCE * float(taken.norm()):
            raise ValueError(
                "`samples` did not come out of a sampler that used this `model`: connect the sampler's own output, "
                "unchanged, and the very model that goes into the sampler. A model remembers its last "
                f"{KEPT} samplings."
            )
        return there[best]


def _take_samples(latents: Tensor) -> Tensor:
    """Returns `SAMPLES` of the numbers, evenly spread."""
    flat = latents.detach().flatten()
    places = torch.linspace(0, len(flat) - 1, min(len(flat), SAMPLES), dtype=torch.float64)
    return flat[places.round().long().to(flat.device)].float().cpu()
