"""Run: what lives as long as one sampling."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...cnet_core import ControlStack, Residuals
from ...cnet_core.net import Net
from ...cnet_core.xray import Recorder, Watch
from .host_types import BaseModel, Guider, Patcher
from .shared import SharedByCopies
from .spec import Source, UnitSpec
from .untraced import untraced
from .window import PercentToSigma

logger = logging.getLogger("cnet")


def models_key(source: Source) -> str:
    """Returns the key under which ComfyUI keeps the models of a source with a MODEL."""
    return f"cnet {source.key}"


@dataclass(frozen=True)
class Start:
    """What a sampling begins with besides its noise."""

    latent_image: Tensor  # (N, C, H, W)
    sigmas: Tensor
    denoise_mask: Tensor | None = None  # of any shape that ComfyUI takes


class Run(SharedByCopies):
    """One sampling: its guider, the nets opened for it and everything kept between its steps.

    On several GPUs, each has its own nets and stacks, and a thread of its own that uses them.
    """

    def __init__(self, specs: Sequence[UnitSpec], guider: Guider | None) -> None:
        self.specs = tuple(specs)
        self.guider = guider
        self._nets: dict[tuple[str, int], Net] = {}
        self._stacks: dict[tuple[object, ...], ControlStack] = {}
        # Those of the last noise level that this one has not used yet.
        self._older: dict[tuple[object, ...], ControlStack] = {}
        self._sigma: float | None = None
        self._resize_noted = False
        self.recorder = Recorder()
        self.asked = False  # whether a prediction came as far as `calc_cond_batch`
        self.reached = False  # whether one came as far as the UNet
        self.injections = 0  # calls of the UNet that got control
        self.percent_to_sigma: PercentToSigma | None = None  # of the model sampling in force
        self.start: Start | None = None
        # Latents, noise level and seed of the last prediction with control, for a Replay.
        self.last: tuple[Tensor, Tensor, int | None] | None = None
        # Blocks that a Replay leaves out; with a set, also an empty one, nothing is recorded.
        self.left_out: frozenset[int] | None = None

    def net(self, index: int, model: BaseModel) -> Net:
        """Returns the net of a unit for a device's BaseModel, opened at its first use."""
        source = self.specs[index].source
        key = (source.key, id(model))
        if key not in self._nets:
            self._nets[key] = source.open(model, self._loaded(source, model))
        return self._nets[key]

    def _loaded(self, source: Source, model: BaseModel) -> Sequence[Patcher]:
        """Returns the patchers that were loaded with a model; a guider's second model uses those of its main one."""
        for holder in (model, getattr(self.guider, "inner_model", model)):
            loaded = holder.current_patcher.get_additional_models_with_key(models_key(source))
            if loaded:
                return loaded
        return ()

    def stack(
        self, index: int, net: Net, size: tuple[int, int], frames: tuple[int, ...]
    ) -> ControlStack:
        """Returns the stack of one unit for a latent size and a set of pictures; `at` says how long it is kept."""
        key = (index, id(net), size, frames)
        if key not in self._stacks:
            kept = self._older.pop(key, None)
            if kept is None:
                kept = ControlStack([self.specs[index].unit(net, *size, frames)])
            self._stacks[key] = kept
        return self._stacks[key]

    def at(self, sigma: float) -> None:
        """Begins a call at a noise level; if it is a new one, drops the stacks that the last one did not use.

        Context windows may show other pictures at each step, and each set of them has a stack of its own.
        """
        if sigma == self._sigma:
            return
        for stack in self._older.values():
            stack.clear()
        self._older, self._stacks, self._sigma = self._stacks, {}, sigma

    def note_resize(self) -> None:
        """Says once a run that residuals were resized."""
        if not self._resize_noted:
            logger.info("A node shrinks the UNet's features; the control is resized to fit them.")
        self._resize_noted = True

    def noted(self, watch: Watch, residuals: Residuals | None) -> Residuals | None:
        """Returns what is to be injected in a call, and has the call know it."""
        if self.left_out is not None:
            return None if residuals is None else residuals.without(self.left_out)
        watch.injects(residuals)
        self.injections += residuals is not None
        return residuals

    @untraced
    def over(self, watch: Watch) -> None:
        """Keeps what is known of a call that is over; while it runs, another may run on another device."""
        if self.left_out is None:
            watch.close()
            self.recorder.add(watch)

    def close(self) -> None:
        """Drops everything kept between steps."""
        for stack in (*self._stacks.values(), *self._older.values()):
            stack.clear()
        for net in self._nets.values():
            net.close()
        self._stacks.clear()
        self._older.clear()
        self._nets.clear()
