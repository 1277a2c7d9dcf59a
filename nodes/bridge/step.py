"""Step: what one call of ComfyUI's `calc_cond_batch` adds to a run, for the UNet calls inside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ...cnet_core import Residuals, UNetCall
from ...cnet_core.routing import Branch
from ...cnet_core.rows import rows_of
from ...cnet_core.xray import Watch
from .host_types import BaseModel, Model
from .layout import CondBatch
from .roles import branches_of, cfg_scale_of, is_guided
from .run import Run
from .shared import SharedByCopies
from .spec import UnitSpec
from .untraced import untraced
from .window import percent_in_window


@dataclass(frozen=True)
class Step(SharedByCopies):
    """The facts of one call of `calc_cond_batch`, for the UNet calls inside it."""

    run: Run
    model: BaseModel  # its model sampling in force
    copies: Mapping[object, Model]  # device -> MODEL, where a run is split over several GPUs
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
    ) -> "Step":
        """Returns the facts of a call with these lists of conds."""
        branches = branches_of(batch.conds, run.guider)
        if batch.unguided:
            return cls(run, model, copies, branches, batch, 1.0, False)
        guided = is_guided(run.guider, branches)
        return cls(run, model, copies, branches, batch, cfg_scale_of(run.guider), guided)

    @untraced
    def residuals(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        options: Mapping[str, Any],
        watch: Watch | None = None,
    ) -> Residuals | None:
        """Returns what all units add to this call of the UNet; None for nothing. Notes on `watch` what they did.

        Raises:
            ValueError: the rows cannot be told apart, or a unit does not fit the call.
        """
        frames = self.batch.frames(x, options)
        rows = rows_of([self.branches[index] for index in options["cond_or_uncond"]], len(x))
        sigma = float(options["sigmas"].flatten()[0])
        watch = Watch() if watch is None else watch
        watch.position, watch.rows, watch.cfg_scale = sigma, rows, self.cfg_scale
        model = self._called(options)
        total: Residuals | None = None
        for index, spec in enumerate(self.run.specs):
            percent = self._percent(spec, sigma)
            if percent is None or spec.off:
                watch.unused(len(rows))
                continue
            net = self.run.net(index, model)
            call = UNetCall(
                x=x[:, : net.config.in_channels],  # inpaint models carry mask and picture behind
                timesteps=timesteps,
                context=context,
                y=None if net.config.y_dim is None else y,
                rows=rows,
                cfg_scale=self.cfg_scale,
                known_percents=(percent,) * len(rows),
                guided=self.guided,
            )
            size = (x.shape[-2], x.shape[-1])
            stack = self.run.stack(index, net, size, frames)
            part = stack.residuals(call)
            watch.used(stack, call)
            if part is not None:
                total = part if total is None else total + part
        return self.run.noted(watch, total)

    def _called(self, options: Mapping[str, Any]) -> BaseModel:
        """Returns the BaseModel whose UNet is called: on several GPUs each has a copy."""
        device = options.get("multigpu_thread_device")
        return self.model if device is None else self.copies[device].model

    def _percent(self, spec: UnitSpec, sigma: float) -> float | None:
        return percent_in_window(
            sigma,
            spec.start_percent,
            spec.end_percent,
            self.model.model_sampling.percent_to_sigma,
            exact=bool(spec.scales.curve),
        )
