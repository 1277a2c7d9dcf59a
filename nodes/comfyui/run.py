"""Run: the state of one sampling."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ...cnet_core.control.clock import PercentToSigma
from ...cnet_core.hosting import Controls, OpenNets, RunRecord, UnitSpec
from .host_types import BaseModel, Executor, Guider, Patcher
from .shared import SharedByCopies

logger = logging.getLogger("cnet")

#: Where the middle of a run is, 0..1 of training time.
MIDDLE = 0.5


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


@dataclass(frozen=True)
class Moment:
    """One prediction of a sampling."""

    x: Tensor  # (N, C, H, W), the latents
    sigma: Tensor  # (N,), their noise level
    seed: int | None  # of the sampling


class Moments:
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


class Run(SharedByCopies):
    """One sampling: its guider, the nets opened for it, the controls at work and the record of what they did.

    With several GPUs, each has its own nets and controls, and its own thread that uses them.

    Attributes:
        specs: the controls on the MODEL.
        guider: of the sampling; None if a call came without one.
        asked: whether a prediction reached `calc_cond_batch`.
        reached: whether one reached the UNet, where a control of ours acts.
        applied: whether one reached the model, where a foreign control acts.
        foreign: the foreign controls on the MODEL, if any.
        percent_to_sigma: of the current model sampling.
        moments: the first prediction with control, the first one past the middle, and the last one, for a Replay.
    """

    def __init__(
        self, specs: Sequence[UnitSpec], guider: Guider | None, start: Start | None = None
    ) -> None:
        self.specs = tuple(specs)
        self.guider = guider
        self.start = start
        self.nets = OpenNets(self.find_patchers)
        self.controls = Controls(self.nets)
        self.record = RunRecord()
        self.asked = False
        self.reached = False
        self.applied = False
        self.percent_to_sigma: PercentToSigma | None = None
        self.moments = Moments()
        self.foreign: Foreign | None = None
        self._sigma = math.inf
        self._resize_logged = False

    def begin(self, sigma: float) -> None:
        """Begins a call of `calc_cond_batch` at a noise level."""
        self._sigma = sigma
        self.controls.begin(sigma)
        if self.foreign is not None:
            self.foreign.begin(sigma)

    def is_past_middle(self) -> bool:
        """Whether the run is past its middle, by the noise level of its last call."""
        return self.percent_to_sigma is not None and self._sigma <= self.percent_to_sigma(MIDDLE)

    def find_patchers(self, source: Source, model: BaseModel) -> Sequence[Patcher]:
        """Returns the patchers that were loaded with a model; a guider's second model uses those of the main one."""
        for holder in (model, getattr(self.guider, "inner_model", model)):
            loaded = holder.current_patcher.get_additional_models_with_key(models_key(source))
            if loaded:
                return loaded
        return tuple(source.patchers)  # it arrived with the call, and ComfyUI loaded it from there

    def log_resize(self) -> None:
        """Logs once per run that residuals are resized."""
        if not self._resize_logged:
            logger.info("A node shrinks the UNet's features; the control is resized to fit them.")
        self._resize_logged = True

    def close(self) -> None:
        """Drops everything kept between steps."""
        self.controls.clear()
        if self.foreign is not None:
            self.foreign.clear()
        self.nets.close()
