"""Run: the state of one sampling."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from ...cnet_core.control.clock import PercentToSigma
from ...cnet_core.hosting import Controls, OpenNets, RunRecord, UnitSpec
from .host_types import BaseModel, Executor, Guider, Patcher
from .moments import MIDDLE, RunMoments
from .shared import SharedByCopies

logger = logging.getLogger("cnet")


class Foreign(Protocol):
    """The foreign controls of a run: nets that are not ours, as they are."""

    def begin(self, sigma: float) -> None:
        """Begins a call of `calc_cond_batch` at a noise level."""
        ...

    def apply(self, executor: Executor[BaseModel], step: Any, *args: Any, **kwargs: Any) -> Any:
        """Runs the model under control."""
        ...

    def clear(self) -> None:
        """Drops everything kept."""
        ...


class Source(Protocol):
    """What ComfyUI loads with a MODEL for a control."""

    @property
    def key(self) -> str: ...
    @property
    def patchers(self) -> Sequence[Any]: ...


def models_key(source: Source) -> str:
    """Returns the key under which ComfyUI keeps the models of a source with a MODEL."""
    return f"cnet {source.key}"


@dataclass(frozen=True)
class Start:
    """What a sampling starts from, besides its noise."""

    latent_image: Tensor  # (N, C, H, W)
    sigmas: Tensor
    denoise_mask: Tensor | None = None  # of any shape that ComfyUI accepts


def find_patchers(guider: Guider | None, source: Source, model: BaseModel) -> Sequence[Patcher]:
    """Returns the patchers that were loaded with a model; a guider's second model uses those of the main one."""
    for holder in (model, getattr(guider, "inner_model", model)):
        loaded = holder.current_patcher.get_additional_models_with_key(models_key(source))
        if loaded:
            return loaded
    return tuple(source.patchers)  # it arrived with the call, and ComfyUI loaded it from there


class Run(SharedByCopies):
    """One sampling: its guider, the nets opened for it, the controls at work and the record of what they did.

    With several GPUs, each has its own nets and controls, and its own thread that uses them.

    Attributes:
        specs: the controls on the MODEL.
        guider: of the sampling; None if a call came without one.
        sigma: the noise level of the current call of `calc_cond_batch`.
        asked: whether a prediction reached `calc_cond_batch`.
        reached: whether one reached the UNet, where a control of ours acts.
        applied: whether one reached the model, where a foreign control acts.
        adapted: whether a routed T2I-Adapter acts, whose features are checked when the UNet has added them.
        foreign: the foreign controls on the MODEL, if any.
        nameless: the run of calls inside this one whose options do not say which run they belong to.
        percent_to_sigma: of the current model sampling.
        moments: the first prediction with control, the first one past the middle, and the last one, for a Replay.
    """

    def __init__(
        self, specs: Sequence[UnitSpec], guider: Guider | None, start: Start | None = None
    ) -> None:
        self.specs = tuple(specs)
        self.guider = guider
        self.start = start
        self.nets = OpenNets(partial(find_patchers, guider))
        self.controls = Controls(self.nets)
        self.record = RunRecord()
        self.sigma = 0.0
        self.asked = False
        self.reached = False
        self.applied = False
        self.adapted = False
        self.percent_to_sigma: PercentToSigma | None = None
        self.moments = RunMoments()
        self.foreign: Foreign | None = None
        self.nameless: Run | None = None
        self._resize_logged = False

    def begin(self, sigma: float) -> None:
        """Begins a call of `calc_cond_batch` at a noise level."""
        self.sigma = sigma
        self.controls.begin(sigma)
        if self.foreign is not None:
            self.foreign.begin(sigma)

    def is_past_middle(self) -> bool:
        """Whether the current call is past the middle of the run."""
        return self.percent_to_sigma is not None and self.sigma <= self.percent_to_sigma(MIDDLE)

    def log_resize(self) -> None:
        """Logs once per run that residuals are resized."""
        if not self._resize_logged:
            logger.info("A node shrinks the UNet's features; the control is resized to fit them.")
        self._resize_logged = True

    def close(self) -> None:
        """Drops everything kept between steps, and what refers back to the run, so that Python frees it at once.

        ComfyUI takes a MODEL for a leak if something of a run holds it any longer.
        """
        if self.nameless is not None:
            self.nameless.close()
        self.controls.clear()
        if self.foreign is not None:
            self.foreign.clear()
        self.foreign = None
        self.nets.close()
