"""Run: the state of one sampling."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...cnet_core.control.clock import PercentToSigma
from ...cnet_core.hosting import Controls, NetSource, OpenNets, RunRecord, UnitSpec
from .host_types import BaseModel, Guider, Patcher
from .shared import SharedByCopies

logger = logging.getLogger("cnet")


def models_key(source: NetSource) -> str:
    """Returns the key under which ComfyUI keeps the models of a source with a MODEL."""
    return f"cnet {source.key}"


@dataclass(frozen=True)
class Start:
    """What a sampling starts from, besides its noise."""

    latent_image: Tensor  # (N, C, H, W)
    sigmas: Tensor
    denoise_mask: Tensor | None = None  # of any shape that ComfyUI accepts


class Run(SharedByCopies):
    """One sampling: its guider, the nets opened for it, the controls at work and the record of what they did.

    With several GPUs, each has its own nets and controls, and its own thread that uses them.

    Attributes:
        specs: the controls on the MODEL.
        guider: of the sampling; None if a call came without one.
        asked: whether a prediction reached `calc_cond_batch`.
        reached: whether one reached the UNet.
        percent_to_sigma: of the current model sampling.
        last: latents, noise level and seed of the last prediction with control, for a Replay.
    """

    def __init__(
        self, specs: Sequence[UnitSpec], guider: Guider | None, start: Start | None = None
    ) -> None:
        self.specs = tuple(specs)
        self.guider = guider
        self.start = start
        self.nets = OpenNets(self._find_patchers)
        self.controls = Controls(self.nets)
        self.record = RunRecord()
        self.asked = False
        self.reached = False
        self.percent_to_sigma: PercentToSigma | None = None
        self.last: tuple[Tensor, Tensor, int | None] | None = None
        self._resize_logged = False

    def _find_patchers(self, source: NetSource, model: BaseModel) -> Sequence[Patcher]:
        """Returns the patchers that were loaded with a model; a guider's second model uses those of the main one."""
        for holder in (model, getattr(self.guider, "inner_model", model)):
            loaded = holder.current_patcher.get_additional_models_with_key(models_key(source))
            if loaded:
                return loaded
        return ()

    def log_resize(self) -> None:
        """Logs once per run that residuals are resized."""
        if not self._resize_logged:
            logger.info("A node shrinks the UNet's features; the control is resized to fit them.")
        self._resize_logged = True

    def close(self) -> None:
        """Drops everything kept between steps."""
        self.controls.clear()
        self.nets.close()
