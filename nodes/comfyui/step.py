"""CondBatchStep: the facts of one call of ComfyUI's `calc_cond_batch`, for the UNet calls inside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from torch import Tensor

from ...cnet_core import UNetCall
from ...cnet_core.control.clock import SigmaClock
from ...cnet_core.control.gains import Routed, find_gains
from ...cnet_core.control.routing import Branch
from ...cnet_core.control.rows import Row, rows_of
from ...cnet_core.engine.tracing import never_trace
from ...cnet_core.hosting import UnitSpec
from ...cnet_core.nets.residuals import RowResiduals
from ...cnet_core.xray import Watch
from .frames import frames_of
from .host_types import BaseModel, Model
from .layout import CondBatch
from .roles import branches_of, cfg_scale_of, is_guided
from .run import Run
from .shared import SharedByCopies

#: Controls of one call, its rows, which hint each picture has, and which picture of the whole batch it is.
_Layout = tuple[Sequence[UnitSpec], tuple[Row, ...], tuple[int, ...], tuple[int, ...]]
#: Where the options of a call of the model carry its CondBatchStep.
STEP = "cnet_step"


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
        sigma = float(options["sigmas"].flatten()[0])
        watch.position, watch.cfg_scale = sigma, self.cfg_scale
        clock = SigmaClock(sigma, self.model.model_sampling.percent_to_sigma, len(x))
        size = (x.shape[-2], x.shape[-1])
        total: RowResiduals | None = None
        for specs, rows, frames, shown in self._layouts(x, options, arrived):
            call = UNetCall(x, timesteps, context, y, rows, self.cfg_scale, self.guided, clock)
            stack = self.run.controls.stack(specs, self.find_model(options), size, frames, shown)
            part = stack.sum_rows(call)
            watch.rows = rows
            watch.record_uses(stack)
            if part is not None:
                total = part if total is None else total + part
        return self.run.record.filter(watch, total)

    def gains(
        self, spec: Routed, options: Mapping[str, Any], features: Tensor, tiles: bool = False
    ) -> tuple[float, ...]:
        """Returns the gain of each row of a call inside: window x time curve x routing.

        Args:
            spec: whose gains.
            options: the call's transformer options.
            features: of all its rows.
            tiles: whether the rows may be tiles that are stacked, each with all branches.

        Raises:
            RuntimeError: the routing treats the branches differently, and nobody says which they are.
            ValueError: the rows cannot be matched to the conds.
        """
        key = (spec, tuple(options["cond_or_uncond"]), len(features))
        if key not in self._gains:
            layout = [self.branches[chunk] for chunk in key[1]]
            if tiles:
                rows = self._list_tile_rows(layout, len(features))
            else:
                self.batch.frames(features, options, check_size=False)
                rows = rows_of(layout, len(features))
            self._gains[key] = self._compute_gains(spec, rows)
        return self._gains[key]

    @cached_property
    def _gains(self) -> dict[Any, tuple[float, ...]]:
        return {}

    def _compute_gains(self, spec: Routed, rows: Sequence[Row]) -> tuple[float, ...]:
        if self.run.guider is None and spec.needs_branches:
            raise RuntimeError(
                "A node calls the model with options that were copied before the sampling began, so nothing says "
                "which rows are cond and which uncond. Set the routing to both, or leave that node out."
            )
        clock = SigmaClock(self.run.sigma, self.model.model_sampling.percent_to_sigma, len(rows))
        return find_gains(spec, rows, clock, self.cfg_scale, self.guided)

    def _layouts(
        self, x: Tensor, options: Mapping[str, Any], arrived: Sequence[UnitSpec]
    ) -> Iterator[_Layout]:
        """Gives the controls of a call with its rows and frames, apart for hints by picture and hints by row.

        The size is checked for controls on the MODEL alone: whoever tiles the latents crops the hints that arrive.
        """
        branches = [self.branches[index] for index in options["cond_or_uncond"]]
        by_row = [spec for spec in arrived if spec.by_row]
        by_picture = (*self.run.specs, *(spec for spec in arrived if not spec.by_row))
        if by_picture:
            frames = self.batch.frames(x, options, check_size=bool(self.run.specs))
            yield by_picture, rows_of(branches, len(x)), frames, frames
        if by_row:
            tile_rows = self._list_tile_rows(branches, len(x))
            rows = tuple(replace(row, picture=k) for k, row in enumerate(tile_rows))
            shown = self._find_shown(by_row, tile_rows, options)
            yield by_row, rows, tuple(range(len(x))), shown

    def _list_tile_rows(self, branches: Sequence[Branch], count: int) -> tuple[Row, ...]:
        """Returns the rows of tiles that are stacked in one call, each with all branches.

        Raises:
            ValueError: the rows cannot be cut into tiles.
        """
        tiles, rest = divmod(count, len(branches) * self.batch.pictures)
        return rows_of(tuple(branches) * tiles if not rest else branches, count)

    def _find_shown(
        self, specs: Sequence[UnitSpec], rows: Sequence[Row], options: Mapping[str, Any]
    ) -> tuple[int, ...]:
        """Returns which picture of the whole batch each row of the tiles shows.

        Raises:
            ValueError: the call has other pictures than the batch, and `frame_strengths` needs to know which.
        """
        frames = frames_of(options, self.batch.pictures)
        if all(row.picture < len(frames) for row in rows):
            return tuple(frames[row.picture] for row in rows)
        if any(spec.frame_strengths for spec in specs):
            raise ValueError(
                "A node between the sampler and the model changes the batch, so `frame_strengths` cannot tell which "
                "picture each row shows. Leave that node out, or give one mask per picture instead."
            )
        return tuple(range(len(rows)))

    def find_model(self, options: Mapping[str, Any]) -> BaseModel:
        """Returns the BaseModel that is called; with several GPUs each has a copy."""
        device = options.get("multigpu_thread_device")
        return self.model if device is None else self.copies[device].model


def find_step(options: Mapping[str, Any]) -> CondBatchStep:
    """Returns the facts of the `calc_cond_batch` around a call of the model.

    Raises:
        RuntimeError: there is none.
    """
    if STEP not in options:
        raise RuntimeError(
            "The model was called outside of ComfyUI's sampling, so this pack's control cannot tell what its rows are."
        )
    return options[STEP]
