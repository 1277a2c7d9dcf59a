"""CondControl: a ControlNet of ours as a CONTROL_NET, which any Apply node puts on conditioning."""

import copy
import logging
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from comfy.controlnet import ControlBase
from torch import Tensor

from ...cnet_core.hosting import AUTO, UnitSpec, check_spec, pick_frames
from ...cnet_core.nets.control_types import ControlTypeError
from ...cnet_core.nets.union import TYPES
from .advanced_controlnet import TakenForAdvanced
from .arriving import ControlLists, put_arrival
from .cond_hooks import HOOKS
from .families import check_base_pair
from .host_types import BaseModel, DeviceSource, Options, Patcher
from .route_settings import RouteSettings
from .step import STEP, CondBatchStep
from .unhooked import Unhooked

logger = logging.getLogger("cnet")


class CondControl(ControlBase, TakenForAdvanced):
    """A net and its settings; picture, strength and percents come from an Apply node, as with ComfyUI's own.

    Copies share the net. What a run keeps lives in the run, so a copy made during it finds it again. A mask is one
    more channel of the picture: whoever crops, moves or picks pictures treats both alike.

    Attributes:
        net_source: where a run gets the net from.
        settings: what Route ControlNet says of it.
    """

    def __init__(self, source: DeviceSource, settings: RouteSettings | None = None) -> None:
        super().__init__()
        self.net_source = source
        self.settings = RouteSettings() if settings is None else settings
        self.extra_hooks = HOOKS
        self.models_are_loaded = (
            False  # with the MODEL, which has a control of the same net; each run says so
        )
        self._masked = False  # whether the last channel of the picture is the mask
        self._unhooked = Unhooked()

    def with_settings(self, settings: RouteSettings) -> "CondControl":
        """Returns a copy with further settings."""
        return self._copy(self.net_source, settings.over(self.settings))

    def copy(self) -> "CondControl":
        """Returns a copy without its chain, as ComfyUI's own do."""
        return self._copy(self.net_source, self.settings)

    def _copy(self, source: DeviceSource, settings: RouteSettings) -> "CondControl":
        other = CondControl(source, settings)
        self.copy_to(other)
        other.extra_hooks = HOOKS
        other._masked = self._masked
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> "CondControl":
        """As copy, with the chain."""
        other = self.copy()
        other.previous_controlnet = copy.deepcopy(self.previous_controlnet, memo)
        return other

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> Any:
        """Returns a copy whose net is on another device."""
        other = self._copy(self.net_source.on_device(load_device), self.settings)
        if autoregister:
            self.multigpu_clones[load_device] = other
        return other

    def set_cond_hint(self, cond_hint: Tensor, *args: Any, **kwargs: Any) -> "CondControl":
        """Takes an Apply node's picture (N, C, H, W), 0..1, strength and percents.

        Raises:
            ValueError: the picture makes no sense, or a setting does not fit the net.
        """
        super().set_cond_hint(cond_hint, *args, **kwargs)
        self._masked = False
        if self.extra_args.get("control_type") and self._control_type() == AUTO:
            logger.warning("Set Union ControlNet Type has no effect: this ControlNet has one type.")
        check_spec(self._spec(by_row=False))
        self._join_mask()
        return self

    def set_cond_hint_mask(self, mask: Tensor) -> "CondControl":
        """Takes the mask (N, H, W), 0..1, of an Apply node that has one, in place of an earlier one."""
        self.settings = RouteSettings(mask=mask).over(self.settings)
        self._join_mask()
        return self

    def _join_mask(self) -> None:
        """Puts the mask behind the channels that the net takes of the picture."""
        mask = self.settings.mask
        if mask is None:
            return
        picture = self._spec(by_row=False).hint(self.net_source.hint_channels)
        channel = mask.reshape(-1, 1, *mask.shape[-2:]).to(picture)
        if channel.shape[-2:] != picture.shape[-2:]:
            channel = F.interpolate(channel, size=picture.shape[-2:], mode="nearest-exact")
        frames = range(len(picture) if len(picture) > 1 else len(channel))
        both = [
            pick_frames(one, frames).expand(len(frames), -1, -1, -1) for one in (picture, channel)
        ]
        self.cond_hint_original = torch.cat(both, dim=1)
        self._masked = True

    def does_as(self, other: object) -> bool:
        """Whether another control gives the same residuals, whatever is before either in its chain."""
        return isinstance(other, CondControl) and (
            self.net_source.key == other.net_source.key
            and self.settings == other.settings
            and (self.strength, self.timestep_percent_range, self.extra_args, self._masked)
            == (other.strength, other.timestep_percent_range, other.extra_args, other._masked)
            and _are_equal(self.cond_hint_original, other.cond_hint_original)
        )

    def travelling_settings(self) -> RouteSettings:
        """Returns the settings, with the type that Set Union ControlNet Type gave."""
        return replace(self.settings, control_type=self._control_type())

    def _control_type(self) -> str:
        """Returns the type in force. ComfyUI's node may give one to a net without types, which ignores it."""
        given = self.extra_args.get("control_type")
        if self.settings.control_type != AUTO or not given:
            return self.settings.control_type
        name = TYPES[given[0]][0]
        try:
            self.net_source.check_types(1, (name,))
        except ControlTypeError as error:
            if error.known is not None:
                raise
            return AUTO
        return name

    def pre_run(self, model: BaseModel, percent_to_timestep_function: Any) -> None:
        """Begins a sampling: whatever an earlier one left behind is dropped."""
        super().pre_run(model, percent_to_timestep_function)
        self.cond_hint = None
        self._unhooked.begin(model)

    def cleanup(self) -> None:
        """Ends a sampling. Tilers call this before the first one, too."""
        super().cleanup()
        self._unhooked.close()

    def get_models(self) -> list[Patcher]:
        """Returns what ComfyUI loads together with the model."""
        ours = () if self.models_are_loaded else self.net_source.patchers
        return [*super().get_models(), *ours]

    def get_control(
        self,
        x_noisy: Tensor,
        t: Tensor,
        cond: dict[str, Any],
        batched_number: int,
        transformer_options: Options | None = None,
    ) -> ControlLists | None:
        """Returns what the UNet call is to compute; outside of a sampling that our hooks know, the residuals.

        Args:
            x_noisy: (chunks x pictures, C, h, w), the latents.
            t: (rows,), noise levels.
            cond: what goes to the UNet besides the latents.
            batched_number: how many conds share the call.
            transformer_options: of the call.

        Raises:
            RuntimeError: the routing needs to know what nobody says.
            ValueError, TypeError: the model is of another family.
        """
        options = {} if transformer_options is None else transformer_options
        before = None
        if self.previous_controlnet is not None:
            before = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, options)
        # Hints that somebody else cut for the rows of this call.
        by_row = self.cond_hint is not None and len(self.cond_hint) == len(x_noisy)
        spec = self._spec(by_row)
        step: CondBatchStep | None = options.get(STEP)
        if step is None or (step.run.guider is None and spec.needs_branches):
            return self._unhooked.add(before, spec, (x_noisy, t, cond, batched_number), options)
        check_base_pair(step.model, self.net_source)
        return put_arrival(before, spec)

    def _spec(self, by_row: bool) -> UnitSpec:
        """Returns the control as it is now; packs may change it during a run."""
        picture = self.cond_hint if by_row else self.cond_hint_original
        assert isinstance(picture, Tensor)
        settings = {**self.settings.values(), "mask": None, "control_type": self._control_type()}
        image = picture.movedim(1, -1)
        percents = self.timestep_percent_range
        return UnitSpec(
            self.net_source,
            image,
            self.strength,
            *percents,
            **settings,
            by_row=by_row,
            masked=self._masked,
        )


def settings_of(control_net: object) -> RouteSettings:
    """Returns the settings that came with what is on a control_net socket."""
    return (
        control_net.travelling_settings()
        if isinstance(control_net, CondControl)
        else RouteSettings()
    )


def _are_equal(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None or first is second:
        return first is second
    return first.shape == second.shape and torch.equal(first, second.to(first))
