"""UnitRun: one unit at work, with its caches from step to step."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..control.call import UNetCall, take
from ..control.gains import route, time_factors
from ..control.unit import ControlUnit, check_fits
from ..control.weighting import mask_mode, resize_mask, weigh
from ..nets.residuals import Residuals, RowResiduals
from .chunks import Chunks
from .reuse import NetInputs, Refresh, Reuse
from .usage import Counts, Use

#: How many lists of gains and pictures are kept on the device; with a time curve gains change at every step.
MOST_NUMBERS = 64


class UnitRun:
    """One unit at work. Keeps hint features, masks and, if wanted, residuals between steps.

    Attributes:
        use: what it did in the last call.
    """

    def __init__(self, unit: ControlUnit, counts: Counts) -> None:
        self.unit = unit
        self.use = Use.without(0)
        self._counts = counts
        self._features: dict[tuple[object, ...], tuple[int, Tensor]] = {}
        self._masks: dict[tuple[object, ...], Tensor] = {}
        self._on_device: dict[tuple[object, ...], Tensor] = {}
        self._reuse = Reuse(unit.reuse_tolerance)
        self._chunks = Chunks()

    def clear(self) -> None:
        """Drops everything kept between steps."""
        self._features.clear()
        self._masks.clear()
        self._on_device.clear()
        self._reuse.clear()

    def contribute(
        self, call: UNetCall, factors: Sequence[float] | None = None
    ) -> RowResiduals | None:
        """Returns the residuals for the rows that the unit acts on; None if it does not act.

        Args:
            call: of the UNet.
            factors: `time_factors` of the unit and the call, if already computed.
        """
        unit = self.unit
        factors = time_factors(unit, call.clock) if factors is None else factors
        self.use = Use.without(len(factors))
        if not any(factors):
            self._reuse.clear()
            return None
        gains = route(unit, factors, call)
        self.use = Use.without(len(gains), gains)
        wanted = [row for row, gain in enumerate(gains) if gain != 0]
        scales = unit.scales.values(unit.net.config.block_sizes(call.x.shape[-2], call.x.shape[-1]))
        if not wanted or not any(scales):
            return None
        check_fits(unit, call)
        by_row, in_use = [gains[row] for row in wanted], tuple(scales)
        if not unit.reuse_tolerance and len(set(by_row)) == 1:  # the net scales its residuals once
            scales = [scale * by_row[0] for scale in scales]
            by_row = [1.0] * len(by_row)
        blocks = list(self._compute_rows(call, wanted, scales, gains).blocks)
        self.use = replace(self.use, scales=in_use)
        pictures = [call.rows[row].picture for row in wanted]
        for index, block in enumerate(
            blocks
        ):  # in place, so each unweighted block is freed before the next
            if block is not None:
                blocks[index] = self._weight(block, by_row, pictures)
        return RowResiduals(Residuals.of(blocks), tuple(wanted), len(gains))

    def _compute_rows(
        self, call: UNetCall, wanted: list[int], scales: Sequence[float], gains: Sequence[float]
    ) -> Residuals:
        """Returns the net's residuals for the wanted rows, computed or reused."""

        def evaluate(positions: list[int]) -> Residuals:
            return self._evaluate(call, [wanted[p] for p in positions], scales)

        everything = list(range(len(wanted)))
        if not self.unit.reuse_tolerance:
            self.use = Use.of(gains, wanted)
            return evaluate(everything)
        rows = tuple(call.rows[row] for row in wanted)
        key = (rows, tuple(scales), self.unit.net.weights_version, *_autograd_mode())
        inputs = NetInputs(self._latents(call), call.timesteps, call.context, call.y).take(wanted)
        refreshed = self._reuse.refresh(key, inputs, evaluate)
        self._record_use(refreshed, wanted, gains)
        return refreshed.residuals

    def _record_use(self, refreshed: Refresh, wanted: list[int], gains: Sequence[float]) -> None:
        evaluated = [wanted[p] for p in refreshed.evaluated]
        reused = [row for row in wanted if row not in evaluated]
        moved = refreshed.moved
        by_row = None if moved is None else dict(zip(wanted, moved, strict=True))
        self.use = Use.of(gains, evaluated, by_row, reused, refreshed.changes)
        self._counts.reused_rows += len(reused)

    def _evaluate(self, call: UNetCall, rows: list[int], scales: Sequence[float]) -> Residuals:
        self._counts.evaluations += 1
        self._counts.rows += len(rows)
        features = self._encode_hints(call)

        def run_part(part: list[int]) -> Residuals:
            return self._run_net(call, part, features, scales)

        return self._chunks.join_residuals(rows, run_part)

    def _run_net(
        self, call: UNetCall, rows: list[int], features: Tensor, scales: Sequence[float]
    ) -> Residuals:
        net = self.unit.net
        return net.residuals(
            take(self._latents(call), rows).to(net.dtype),
            self._of_pictures(features, [call.rows[row].picture for row in rows]),
            take(call.timesteps, rows),
            take(call.context, rows).to(net.dtype),
            self._vectors(call, rows),
            scales,
            **_types(self.unit),
        )

    def _latents(self, call: UNetCall) -> Tensor:
        return call.x[:, : self.unit.net.config.in_channels]

    def _vectors(self, call: UNetCall, rows: list[int]) -> Tensor | None:
        """Returns SDXL's vector condition of some rows, for nets that take one."""
        net = self.unit.net
        if call.y is None or net.config.y_dim is None:
            return None
        return take(call.y, rows).to(net.dtype)

    def _encode_hints(self, call: UNetCall) -> Tensor:
        """Returns the hint's features: (N, model_channels, H, W)."""
        net = self.unit.net
        key = (net.dtype, call.x.device, *_autograd_mode())
        version = net.hint_version
        if key in self._features and self._features[key][0] == version:
            return self._features[key][1]
        self._counts.hint_encodings += 1
        pictures = list(range(max(map(len, self.unit.hints))))
        features = self._chunks.join_tensors(
            pictures, lambda part: self._encode(part, call.x.device)
        )
        if not features.requires_grad:  # a graph serves one backward pass, then the weights change
            self._features[key] = version, features
        return features

    def _encode(self, pictures: list[int], device: torch.device) -> Tensor:
        net = self.unit.net
        of_pictures = (h if len(h) == 1 else take(h, pictures) for h in self.unit.hints)
        hints = tuple(hint.to(device, net.dtype) for hint in of_pictures)
        return net.hint_features(hints[0] if len(hints) == 1 else hints, **_types(self.unit))

    def _weight(self, block: Tensor, gains: list[float], pictures: list[int]) -> Tensor:
        """Returns the block's residual times gain by row and mask by pixel, pooled if the net is pooled."""
        unit = self.unit
        mask = unit.mask
        if mask is not None:
            mask = self._of_pictures(self._mask(mask, block), pictures)
        gain = gains[0]
        if len(set(gains)) > 1:
            gain = self._numbers(gains, block.dtype, block.device)[:, None, None, None]
        return weigh(block, unit.order, gain, mask, unit.net.pooled)

    def _of_pictures(self, tensor: Tensor, pictures: list[int]) -> Tensor:
        """Returns each row's entry of a tensor with one entry for all pictures or one per picture."""
        if len(tensor) == 1 or pictures == list(range(len(tensor))):
            return tensor
        return tensor[self._numbers(pictures, torch.long, tensor.device)]

    def _numbers(self, values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Returns numbers on a device, copied there once."""
        key = (tuple(values), dtype, device, *_autograd_mode())
        if key not in self._on_device:
            if len(self._on_device) >= MOST_NUMBERS:
                self._on_device.clear()
            self._on_device[key] = torch.tensor(values, dtype=dtype, device=device)
        return self._on_device[key]

    def _mask(self, mask: Tensor, like: Tensor) -> Tensor:
        """Returns the unit's mask (N, 1, h, w) at a block's size."""
        key = (like.shape[-2:], like.dtype, like.device, *_autograd_mode())
        if key not in self._masks:
            self._masks[key] = resize_mask(mask, like, mask_mode(self.unit.order))
        return self._masks[key]


def _autograd_mode() -> tuple[bool, bool]:
    """Tensors cached in one mode must not be used in another: they would lack a graph, or could not be in one."""
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled()


def _types(unit: ControlUnit) -> dict[str, Sequence[str]]:
    """The argument that only Union ControlNets take."""
    return {} if unit.control_types is None else {"control_types": unit.control_types}
