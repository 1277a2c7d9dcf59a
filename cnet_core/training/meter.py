"""The convergence meter: does the net use its hint yet? The loss alone does not show it.

On a fixed held-out batch it compares the loss with the matching hint to the loss with the neighbour's hint, and to the
loss without control. Everything else is equal, including the noise, so the difference comes from the hint and has
little noise. The gap is 0 until the net distinguishes hints, however flat the loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ..nets.controlnet import ControlNet
from ..nets.residuals import Residuals
from .base import TrainingBase
from .locked import add_residuals, decode, encode
from .step import NoisyBatch

#: A net follows its hint once the wrong hint costs this fraction of the loss, …
CONVERGED_GAP = 0.03
#: … by this many standard errors over the held-out samples, …
CONVERGED_ERRORS = 4.0
#: … in this many readings in a row.
CONVERGED_READINGS = 2


@dataclass(frozen=True)
class Reading:
    """The meter's reading at one step."""

    step: int
    loss: float  # held-out, with the matching hint
    wrong_loss: float  # the same, with another sample's hint
    standard_error: float  # of wrong_loss - loss, over the samples; 0 of one
    effect: float  # rms of eps(hint) - eps(no control)
    zero_convs: tuple[
        float, ...
    ]  # norm of each zero conv's weights and bias, shallow to deep, middle last
    plain_loss: float | None = None  # held-out, without control; None in runs of older versions

    @property
    def gap(self) -> float:
        """How much worse the wrong hint is, as a fraction of the loss."""
        return (self.wrong_loss - self.loss) / self.loss

    @property
    def gain(self) -> float | None:
        """How much control with the matching hint lowers the loss, as a fraction of the loss without control."""
        return None if self.plain_loss is None else 1 - self.loss / self.plain_loss

    @property
    def follows(self) -> bool:
        """Whether the hint has a significant and visible effect."""
        sure = self.wrong_loss - self.loss > CONVERGED_ERRORS * self.standard_error
        return sure and self.gap > CONVERGED_GAP

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**asdict(self), "gap": self.gap, "gain": self.gain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Reading":
        """Returns the reading of `to_dict()`'s values."""
        kept: dict[str, Any] = {k: v for k, v in values.items() if k not in ("gap", "gain")}
        kept["zero_convs"] = tuple(kept["zero_convs"])
        return cls(**kept)


class ConvergenceMeter:
    """Reads a net on a held-out batch that stays the same for the whole run."""

    def __init__(self, base: TrainingBase, held_out: NoisyBatch) -> None:
        self._base = base
        self._batch = held_out
        self._encoded = encode(
            base.unet, held_out.noisy, held_out.timesteps, held_out.text.context, held_out.text.y
        )
        with torch.no_grad():
            self._without = decode(base.unet, self._encoded)
            self._plain_loss = float(self._losses(self._without).mean())

    @property
    def compares(self) -> bool:
        """Whether there is a wrong hint; a single sample has no neighbour, so its readings never follow."""
        return len(self._batch.hints) > 1

    @torch.no_grad()
    def read(self, net: ControlNet, step: int) -> Reading:
        """Returns the reading of `net` after `step` steps."""
        right = self._predict(net, self._batch.hints)
        wrong = self._predict(net, self._batch.hints.roll(1, 0))
        losses, wrong_losses = self._losses(right), self._losses(wrong)
        difference = wrong_losses - losses
        figures = torch.stack(
            [
                losses.mean(),
                wrong_losses.mean(),
                difference.std(correction=int(self.compares)) / len(difference) ** 0.5,
                (right - self._without).float().square().mean().sqrt(),
                *zero_conv_norms(net),
            ]
        )
        loss, wrong_loss, error, effect, *norms = cast(list[float], figures.tolist())
        return Reading(step, loss, wrong_loss, error, effect, tuple(norms), self._plain_loss)

    def _predict(self, net: ControlNet, hints: Tensor) -> Tensor:
        batch = self._batch
        found: Residuals = net(
            batch.noisy, hints, batch.timesteps, batch.text.context, batch.text.y
        )
        return decode(self._base.unet, add_residuals(self._encoded, found))

    def _losses(self, prediction: Tensor) -> Tensor:
        batch = self._batch
        return self._base.objective.losses(prediction, batch.target, batch.timesteps)


def convergence_step(readings: Sequence[Reading]) -> int | None:
    """Returns the step since which the net has followed its hint; None if it does not yet."""
    for start in range(len(readings) - CONVERGED_READINGS + 1):
        if all(r.follows for r in readings[start : start + CONVERGED_READINGS]):
            return readings[start].step
    return None


def zero_conv_norms(net: ControlNet) -> list[Tensor]:
    """Returns the norm of each zero conv's weights and bias, shallow to deep, middle last."""
    convs = [*net.zero_convs, net.middle_block_out]
    return [torch.cat([p.flatten().float() for p in conv.parameters()]).norm() for conv in convs]
