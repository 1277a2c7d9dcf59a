"""RoutedAdapter: a T2I-Adapter with our settings as a CONTROL_NET, which any Apply node puts on conditioning."""

import copy
import weakref
from typing import Any

import torch
from comfy.controlnet import T2IAdapter
from torch import Tensor

from ...cnet_core.control.clock import SigmaClock
from ...cnet_core.control.gains import find_gains
from ...cnet_core.control.rows import rows_of
from ...cnet_core.control.scales import check_count
from ...cnet_core.hosting import AUTO, pick_frames
from .advanced_controlnet import TakenForAdvanced
from .arriving import ControlLists
from .cond_hooks import HOOKS
from .families import check_adapter_pair
from .foreign.blocks import OwnBlocks, own_block_count
from .foreign.calls import is_compiled
from .foreign.spec import NO_TYPES
from .frames import frames_of
from .gain_settings import GainSettings
from .host_types import BaseModel, Options
from .route_settings import RouteSettings
from .step import STEP, CondBatchStep
from .unhooked import NO_PRE_RUN, SAYS_NO_ROWS, sampler_name

NO_MASK = "`mask` cannot travel with a T2I-Adapter. Connect the mask to Apply ControlNet (to the model) instead."


class RoutedAdapter(T2IAdapter, TakenForAdvanced):
    """ComfyUI's own adapter, whose features get a gain by row and block before they are merged with the chain's.

    Unlike ComfyUI's own, it gives each picture of a context window the picture's own hint.

    Attributes:
        settings: what Route ControlNet says of it.
    """

    def __init__(self, adapter: T2IAdapter, settings: RouteSettings) -> None:
        numbers = (adapter.channels_in, adapter.compression_ratio, adapter.upscale_algorithm)
        super().__init__(adapter.t2i_model, *numbers, adapter.device)
        adapter.copy_to(self)
        values = settings.values()
        self.settings = settings
        self.extra_hooks = HOOKS
        self._gain_settings = GainSettings(values["routing"], values["scales"])
        self._model: weakref.ref[BaseModel] | None = None  # after an error nobody calls `cleanup`
        self._frames: tuple[int, ...] = ()  # whose hints `_fitted` holds
        self._fitted: Tensor | None = None  # by ComfyUI's own, to the size of the call
        self._gains: tuple[float, ...] = ()

    def copy(self) -> "RoutedAdapter":
        """Returns a copy without its chain, as ComfyUI's own do."""
        other = RoutedAdapter(self, self.settings)
        other._model = self._model  # packs copy controls during a run
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> "RoutedAdapter":
        """As copy, with the chain."""
        other = self.copy()
        other.previous_controlnet = copy.deepcopy(self.previous_controlnet, memo)
        return other

    def does_as(self, other: object) -> bool:
        """Whether another control gives the same residuals, whatever is before either in its chain."""
        if not isinstance(other, RoutedAdapter) or self.t2i_model is not other.t2i_model:
            return False
        numbers = (self.settings, self.strength, self.timestep_percent_range)
        if numbers != (other.settings, other.strength, other.timestep_percent_range):
            return False
        first, second = self.cond_hint_original, other.cond_hint_original
        return first is second or (
            first is not None and second is not None and torch.equal(first, second)
        )

    def pre_run(self, model: BaseModel, percent_to_timestep_function: Any) -> None:
        """Begins a sampling.

        Raises:
            TypeError, ValueError: the model is of another family.
        """
        check_adapter_pair(model, self.t2i_model)
        super().pre_run(model, percent_to_timestep_function)
        self._model = weakref.ref(model)

    def cleanup(self) -> None:
        """Ends a sampling."""
        super().cleanup()
        self._model = self._fitted = None

    def set_cond_hint_mask(self, mask: Tensor) -> None:
        """Refuses the mask of Advanced-ControlNet's Apply nodes."""
        raise ValueError(NO_MASK)

    def get_control(
        self,
        x_noisy: Tensor,
        t: Tensor,
        cond: dict[str, Any],
        batched_number: int,
        transformer_options: Options | None = None,
    ) -> ControlLists | None:
        """Returns the chain's residuals with those of the rows that want control.

        Raises:
            RuntimeError: the routing needs to know what nobody says.
        """
        options = {} if transformer_options is None else transformer_options
        inputs = (x_noisy, t, cond, batched_number, options)
        step: CondBatchStep | None = options.get(STEP)
        model = self._begun_model() if step is None else step.find_model(options)
        self._model = weakref.ref(model)
        self._gains = self._find_gains(x_noisy, t, options, step, model)
        if not any(self._gains):
            before = self.previous_controlnet
            return None if before is None else before.get_control(*inputs)
        if step is not None and not is_compiled(model, options):
            step.run.adapted = True
        if self.cond_hint is not None and len(self.cond_hint) not in (1, len(x_noisy)):
            self.control_input = None  # ComfyUI's own keeps those of another number of rows
        hints = self.cond_hint_original
        self.cond_hint_original = self._pick_hints(options, len(x_noisy) // batched_number)
        cut = None if self.cond_hint is self._fitted else self.cond_hint  # by another pack
        try:
            return super().get_control(*inputs)
        finally:
            self.cond_hint_original = hints
            self._fitted = None if self.cond_hint is cut else self.cond_hint

    def _begun_model(self) -> BaseModel:
        model = None if self._model is None else self._model()
        if model is None:
            raise RuntimeError(NO_PRE_RUN.format(sampler_name()))
        return model

    def _pick_hints(self, options: Options, pictures: int) -> Any:
        """Returns the hints of a call's pictures. Those that another pack cut for the rows stay in use."""
        frames = frames_of(options, pictures)
        if frames != self._frames and self.cond_hint is self._fitted:
            self.cond_hint = None
        self._frames = frames
        return pick_frames(self.cond_hint_original, frames)

    def _find_gains(
        self, x: Tensor, t: Tensor, options: Options, step: CondBatchStep | None, model: BaseModel
    ) -> tuple[float, ...]:
        routed = self._gain_settings.needs_branches
        if step is not None and not (step.run.guider is None and routed):
            return step.gains(self._gain_settings, options, x, tiles=True)
        if routed:
            raise RuntimeError(SAYS_NO_ROWS.format(sampler_name()))
        to_sigma = model.model_sampling.percent_to_sigma
        clock = SigmaClock(float(t.flatten()[0]), to_sigma, len(x))
        return find_gains(self._gain_settings, rows_of(["cond"], len(x)), clock, None, False)

    def control_merge(
        self, control: Any, control_prev: ControlLists | None, output_dtype: Any
    ) -> ControlLists:
        """As ComfyUI's own, of the features times scale and gain."""
        model = self._begun_model()
        blocks = OwnBlocks.of(control)
        side = max(tensor.shape[-2] * tensor.shape[-1] for tensor in blocks.tensors) ** 0.5
        scales = blocks.scales(self._gain_settings.scales, model.diffusion_model, side)
        pairs = zip(blocks.tensors, scales, strict=True)
        tensors = [tensor * self._weight(scale, tensor) for tensor, scale in pairs]
        weighed = {
            key: [None if block is None else tensors[block] for block in blocks.places[key]]
            for key in control
        }
        return super().control_merge(weighed, control_prev, output_dtype)

    def _weight(self, scale: float, like: Tensor) -> Any:
        if len(set(self._gains)) == 1:
            return scale * self._gains[0]
        gains = torch.tensor(self._gains, dtype=like.dtype, device=like.device)
        return scale * gains.reshape(-1, 1, 1, 1)


def route_adapter(adapter: T2IAdapter, settings: RouteSettings) -> RoutedAdapter:
    """Returns an adapter with settings; those of an earlier Route ControlNet stay where these say nothing.

    Raises:
        ValueError: a setting that an adapter cannot take, or another number of scales than it has blocks.
    """
    if settings.mask is not None:
        raise ValueError(NO_MASK)
    if settings.frame_strengths is not None:
        raise ValueError(
            "`frame_strengths` cannot travel with a T2I-Adapter. Set them on Apply ControlNet (to the model) instead."
        )
    if settings.control_type != AUTO:
        raise ValueError(NO_TYPES.format(settings.control_type))
    earlier = adapter.settings if isinstance(adapter, RoutedAdapter) else RouteSettings()
    found = RoutedAdapter(adapter, settings.over(earlier))
    numbers, blocks = found.settings.values()["scales"].numbers, own_block_count(adapter)
    if numbers and blocks is not None:
        check_count(len(numbers), blocks)
    return found


def unroute(control_net: Any) -> Any:
    """Returns ComfyUI's own adapter in place of a routed one; anything else as it is."""
    if not isinstance(control_net, RoutedAdapter):
        return control_net
    found = T2IAdapter.copy(control_net)
    found.extra_hooks = None
    return found
