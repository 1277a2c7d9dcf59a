"""ForeignRun: one foreign control net at work in a run."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....cnet_core import Residuals
from ....cnet_core.control.clock import Clock
from ....cnet_core.control.gains import find_gains
from ....cnet_core.control.rows import Row
from ....cnet_core.engine.reuse import NetInputs, Reuse
from ....cnet_core.engine.usage import Counts, Use
from ..host_types import BaseModel, Patcher
from .blocks import OwnBlocks
from .entry import ForeignPart
from .masks import block_mask
from .opened import OpenedControl
from .rows import RowInputs
from .spec import ForeignSpec


@dataclass(frozen=True)
class ForeignCall:
    """One call of a model: its inputs, what its rows are, and the time."""

    model: BaseModel
    loaded: Sequence[Patcher]  # of the control net, with this model
    inputs: RowInputs
    rows: tuple[Row, ...]
    frames: tuple[int, ...]  # of the whole batch, by picture of the call
    clock: Clock
    cfg_scale: float | None
    guided: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the latents."""
        return (self.inputs.x.shape[-2], self.inputs.x.shape[-1])


class ForeignRun:
    """One foreign control net at work in a run; keeps its copies, residuals and masks between steps.

    Attributes:
        use: what it did in the last call.
    """

    def __init__(self, spec: ForeignSpec, counts: Counts) -> None:
        self.spec = spec
        self.use = Use.without(0)
        self._timed = replace(
            spec, strength=1.0
        )  # the control net multiplies by its strength itself
        self._counts = counts
        self._opened: dict[Hashable, OpenedControl] = {}
        self._before: dict[Hashable, OpenedControl] = {}
        self._reuse = Reuse(spec.reuse_tolerance)
        self._places: Mapping[str, tuple[int | None, ...]] = {}
        self._scales: dict[Hashable, tuple[float, ...]] = {}

    def begin(self) -> None:
        """Begins a noise level: copies that the last one did not use are dropped, as windows may have moved on."""
        for opened in self._before.values():
            opened.close()
        self._before, self._opened = self._opened, {}

    def clear(self) -> None:
        """Drops everything kept."""
        self.begin()
        self.begin()
        self._reuse.clear()

    def contribute(self, call: ForeignCall) -> tuple[OwnBlocks, list[ForeignPart | None]] | None:
        """Returns the net's blocks and what each adds, None for one without scale; None where it does not act."""
        gains = self._gains(call)
        shown = [self.spec.strength * gain for gain in gains]
        self.use = Use.without(len(gains), shown)
        wanted = [row for row, gain in enumerate(gains) if gain != 0]
        if not wanted or self.spec.off:
            self._reuse.clear()
            return None
        blocks = self._compute(call, wanted, shown)
        if blocks is None:
            return None
        return blocks, self._parts(call, blocks, wanted, [gains[row] for row in wanted])

    def _gains(self, call: ForeignCall) -> tuple[float, ...]:
        time = (call.clock, call.cfg_scale, call.guided)
        gains = find_gains(self._timed, call.rows, *time)
        strengths = self.spec.frame_strengths
        if strengths is None:
            return gains
        return strengths.filter_gains(gains, [call.frames[row.picture] for row in call.rows])

    def _parts(
        self,
        call: ForeignCall,
        blocks: OwnBlocks,
        wanted: list[int],
        gains: Sequence[float],
    ) -> list[ForeignPart | None]:
        scales = self._find_scales(call, blocks)
        alike = len(set(gains)) == 1
        mask = self.spec.masks([call.frames[call.rows[row].picture] for row in wanted])
        parts: list[ForeignPart | None] = []
        for tensor, scale in zip(blocks.tensors, scales, strict=True):
            weights = () if alike else (_by_row(gains, tensor),)
            if mask is not None:
                weights = (*weights, block_mask(mask, tensor, call.size))
            factor = scale * gains[0] if alike else scale
            parts.append(ForeignPart(tensor, tuple(wanted), factor, weights) if scale else None)
        return parts

    def _find_scales(self, call: ForeignCall, blocks: OwnBlocks) -> tuple[float, ...]:
        """Returns the scale of each block, computed once a run."""
        key = (blocks.owners, call.size)
        if key not in self._scales:
            side = (call.size[0] * call.size[1]) ** 0.5
            model = call.model.diffusion_model
            self._scales[key] = blocks.scales(self.spec.scales, model, side)
        return self._scales[key]

    def _compute(
        self, call: ForeignCall, wanted: list[int], shown: Sequence[float]
    ) -> OwnBlocks | None:
        """Returns the blocks of the wanted rows, computed or kept."""
        if not self.spec.reuse_tolerance:
            self.use = Use.of(shown, wanted)
            return self._evaluate(call, wanted)

        def fresh(positions: list[int]) -> Residuals:
            found = self._evaluate(call, [wanted[p] for p in positions])
            if found is None:
                raise RuntimeError("The control net gave nothing inside its own window.")
            self._places = found.places
            return Residuals.of([_rows(tensor, len(positions)) for tensor in found.tensors])

        inputs = call.inputs
        kept = NetInputs(inputs.x, inputs.sigmas, inputs.cond["c_crossattn"], None).take(wanted)
        key = (tuple(call.rows[row] for row in wanted), call.frames, call.size)
        refreshed = self._reuse.refresh(key, kept, fresh)
        if not refreshed.evaluated:  # its copies are still needed
            self._opened.update(self._before)
            self._before.clear()
        evaluated = [wanted[p] for p in refreshed.evaluated]
        reused = [row for row in wanted if row not in evaluated]
        moved = refreshed.moved
        by_row = None if moved is None else dict(zip(wanted, moved, strict=True))
        self.use = Use.of(shown, evaluated, by_row, reused, refreshed.changes)
        self._counts.reused_rows += len(reused)
        tensors = [block for block in refreshed.residuals.blocks if block is not None]
        return OwnBlocks(tuple(tensors), self._places)

    def _evaluate(self, call: ForeignCall, rows: list[int]) -> OwnBlocks | None:
        pictures = [call.rows[row].picture for row in rows]
        chunks, frames = _tile_frames([call.frames[picture] for picture in pictures])
        key = (id(call.model), call.size, frames, len(rows))
        if key not in self._opened:
            kept = self._before.pop(key, None)
            if kept is None:
                kept = OpenedControl(self.spec, call.model, call.loaded, frames, call.size)
            self._opened[key] = kept
        self._counts.evaluations += 1
        self._counts.rows += len(rows)
        inputs = call.inputs.take(rows, len(call.frames))
        return self._opened[key].compute(inputs, chunks)


def _tile_frames(frames: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Returns how often the frames repeat, and the frames that do: ComfyUI repeats hints by chunk."""
    for length in range(1, len(frames) + 1):
        count, rest = divmod(len(frames), length)
        if rest == 0 and list(frames) == list(frames[:length]) * count:
            return count, tuple(frames[:length])
    return 1, tuple(frames)


def _rows(tensor: Tensor, count: int) -> Tensor:
    """Returns a residual with all rows: T2I-Adapters give one for all."""
    return tensor.expand(count, *tensor.shape[1:])


def _by_row(values: Sequence[float], like: Tensor) -> Tensor:
    shape = (-1, *[1] * (like.dim() - 1))
    return torch.tensor(values, dtype=like.dtype, device=like.device).reshape(shape)
