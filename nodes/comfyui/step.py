"""CondBatchStep: the facts of one call of ComfyUI's `calc_cond_batch`, for the UNet calls inside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ...cnet_core import UNetCall
from ...cnet_core.control.clock import SigmaClock
from ...cnet_core.control.routing import Branch
from ...cnet_core.control.rows import rows_of
from ...cnet_core.engine.tracing import never_trace
from ...cnet_core.hosting import UnitSpec
from ...cnet_core.nets.residuals import RowResiduals
from ...cnet_core.xray import Watch
from .host_types import BaseModel, Model
from .layout import CondBatch
from .roles import branches_of, cfg_scale_of, is_guided
from .run import Run
from .shared import SharedByCopies


@dataclass(frozen=True)
class CondBatchStep(SharedByCopies):
    """The facts of one call of `calc_cond_batch`, for the UNet calls inside it."""

    run: Run
    model: BaseModel  # its current model sampling
    copies: Mapping[object, Model]  # device -> MODEL, if a run is split over several GPUs
    branches: tuple[Branch, ...]  # of each list of conds
    batch: CondBatch
    cfg_scale: float | None
    guided: bool

    @classmethod
    def of(
        cls,
        run: Run,
        model: BaseModel,
        batch: CondBatch,
        copies: Mapping[object, Model] = MappingProxyType({}),
    ) -> "CondBatchStep":
        """Returns the facts of a call with these lists of conds."""
        branches = branches_of(batch.conds, run.guider)
        if batch.unguided:
            return cls(run, model, copies, branches, batch, 1.0, False)
        guided = is_guided(run.guider, branches)
        return cls(run, model, copies, branches, batch, cfg_scale_of(run.guider), guided)

    @never_trace
    def answer(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        options: Mapping[str, Any],
        watch: Watch,
        arrived: Sequence[UnitSpec] = (),
    ) -> RowResiduals | None:
        """Returns the residuals of all controls for this UNet call, or None. Records on the watch what they did.

        Args:
            x: (B, C, H, W), the call's latents.
            timesteps, context, y: the UNet's arguments.
            options: the call's transformer options.
            watch: of this call.
            arrived: controls that came with this call; they follow those on the MODEL.

        Raises:
            ValueError: the rows cannot be matched to the conds, or a control does not fit the call.
        """
        frames = self.batch.frames(x, options)
        rows = rows_of([self.branches[index] for index in options["cond_or_uncond"]], len(x))
        sigma = float(options["sigmas"].flatten()[0])
        watch.position, watch.rows, watch.cfg_scale = sigma, rows, self.cfg_scale
        clock = SigmaClock(sigma, self.model.model_sampling.percent_to_sigma, len(rows))
        call = UNetCall(x, timesteps, context, y, rows, self.cfg_scale, self.guided, clock)
        specs = (*self.run.specs, *arrived)
        size = (x.shape[-2], x.shape[-1])
        stack = self.run.controls.stack(specs, self.find_model(options), size, frames)
        residuals = stack.sum_rows(call)
        watch.record_uses(stack)
        return self.run.record.filter(watch, residuals)

    def find_model(self, options: Mapping[str, Any]) -> BaseModel:
        """Returns the BaseModel that is called; with several GPUs each has a copy."""
        device = options.get("multigpu_thread_device")
        return self.model if device is None else self.copies[device].model
