"""Run and Step: what lives as long as one sampling, and what one call of ComfyUI's `calc_cond_batch` adds to it."""

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ...cnet_core import ControlStack, Residuals, UNetCall
from ...cnet_core.net import Net
from ...cnet_core.routing import Branch
from ...cnet_core.rows import Row, rows_of
from ...cnet_core.xray import Recorder, Watch
from .roles import branches_of, cfg_scale_of, is_guided
from .spec import Source, UnitSpec
from .window import PercentToSigma, percent_in_window

logger = logging.getLogger("cnet")

#: How many texts a run tells apart; ComfyUI builds each anew for every call.
MOST_TEXTS = 8


def models_key(source: Source) -> str:
    """Returns the key under which ComfyUI keeps the models of a source with a MODEL."""
    return f"cnet {source.key}"


@dataclass(frozen=True)
class Start:
    """What a sampling begins with besides its noise."""

    latent_image: Tensor  # (N, C, H, W)
    sigmas: Tensor
    denoise_mask: Tensor | None = None  # of any shape that ComfyUI takes


class Run:
    """One sampling: its guider, the nets opened for it and everything kept between its steps.

    On several GPUs, each has its own nets and stacks, and a thread of its own that uses them.
    """

    def __init__(self, specs: Sequence[UnitSpec], guider: object | None) -> None:
        self.specs = tuple(specs)
        self.guider = guider
        self._nets: dict[tuple[str, int], Net] = {}
        self._stacks: dict[tuple[object, ...], ControlStack] = {}
        # Those of the last noise level that this one has not used yet.
        self._older: dict[tuple[object, ...], ControlStack] = {}
        self._sigma: float | None = None
        self._texts: deque[Tensor] = deque(maxlen=MOST_TEXTS)
        self._resize_noted = False
        self.recorder = Recorder()
        self.injections = 0  # calls of the UNet that got control
        self.percent_to_sigma: PercentToSigma | None = None  # of the model sampling in force
        self.start: Start | None = None
        # Latents, noise level and seed of the last prediction with control, for a Replay.
        self.last: tuple[Tensor, Tensor, int | None] | None = None
        # Blocks that a Replay leaves out; with a set, also an empty one, nothing is recorded.
        self.left_out: frozenset[int] | None = None

    def net(self, index: int, model: Any) -> Net:
        """Returns the net of a unit for a device's BaseModel, opened at its first use."""
        source = self.specs[index].source
        key = (source.key, id(model))
        if key not in self._nets:
            self._nets[key] = source.open(model, self._loaded(source, model))
        return self._nets[key]

    def _loaded(self, source: Source, model: Any) -> Sequence[Any]:
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

    def same_text(self, text: Tensor) -> Tensor:
        """Returns text embeddings of these values that are one and the same tensor in all calls of the run.

        So what a ControlNet makes of them can be kept. Comparing them waits for the device, but here the noise level
        was read just before.
        """
        for known in tuple(self._texts):
            alike = (known.device, known.dtype, known.shape) == (
                text.device,
                text.dtype,
                text.shape,
            )
            if alike and torch.equal(known, text):
                return known
        # An inference tensor could not tell whether it was written to.
        with torch.inference_mode(False):
            kept = text.clone()
        self._texts.append(kept)
        return kept

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

    @torch.compiler.disable
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
            getattr(net, "close", _nothing)()
        self._stacks.clear()
        self._older.clear()
        self._nets.clear()
        self._texts.clear()


@dataclass(frozen=True)
class Step:
    """The facts of one call of `calc_cond_batch`, for the UNet calls inside it."""

    run: Run
    model: Any  # ComfyUI's BaseModel, its model sampling in force
    copies: Mapping[Any, Any]  # device -> ModelPatcher, where a run is split over several GPUs
    branches: tuple[Branch, ...]  # of each list of conds
    cfg_scale: float | None
    guided: bool

    @classmethod
    def of(
        cls,
        run: Run,
        model: object,
        conds: Sequence[Any],
        copies: Mapping[Any, Any] = MappingProxyType({}),
    ) -> "Step":
        """Returns the facts of a call with these lists of conds."""
        branches = branches_of(conds, run.guider)
        guided = is_guided(run.guider, branches)
        return cls(run, model, copies, branches, cfg_scale_of(run.guider), guided)

    @torch.compiler.disable
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
        rows = self._rows(len(x), options["cond_or_uncond"])
        sigma = float(options["sigmas"].flatten()[0])
        watch = Watch() if watch is None else watch
        watch.position, watch.rows, watch.cfg_scale = sigma, rows, self.cfg_scale
        model = self._called(options)
        context = self.run.same_text(context)
        frames = _frames(options, max(row.picture for row in rows) + 1)
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

    def _called(self, options: Mapping[str, Any]) -> Any:
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

    def _rows(self, batch: int, indices: Sequence[int]) -> tuple[Row, ...]:
        if not indices or batch % len(indices):
            raise ValueError(
                f"The UNet was called with {batch} rows for {len(indices)} conditionings, so it cannot be told which "
                "rows belong to which. A node between the sampler and the model changes the batch (tiled "
                "samplers do); use it without ApplyControlNet, or ComfyUI's own ControlNet nodes."
            )
        return rows_of([self.branches[index] for index in indices], batch)


def _nothing() -> None:
    """For nets that keep nothing for a run."""


def _frames(options: Mapping[str, Any], pictures: int) -> tuple[int, ...]:
    """Returns which picture of the whole batch each one in this call is: a context window shows only some.

    Newer versions put one picture from before the window in front of it.
    """
    window = options.get("context_window")
    listed = getattr(window, "index_list", None)
    if listed is None or getattr(window, "dim", None) != 0:
        return tuple(range(pictures))
    anchor = getattr(window, "causal_anchor_index", None)
    frames = (*(() if anchor is None or anchor < 0 else (anchor,)), *listed)
    if len(frames) != pictures:
        raise ValueError(
            f"The UNet was called with {pictures} pictures for a context window of {len(frames)}, so it cannot be "
            "told which hint belongs to which. Use context windows without the node that changes the batch."
        )
    return frames
