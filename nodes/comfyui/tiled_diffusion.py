"""Support for ComfyUI-TiledDiffusion (shiimizu): it cuts controls on the conds into tiles, so the MODEL's go there."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from torch import Tensor

from ...cnet_core.control.hints import fit_hint
from ...cnet_core.hosting import UnitSpec, pick_frames
from ...cnet_core.nets.controlnet import HINT_DOWNSCALE
from .conds import NamedConds, chain_of, each_cond, spare_models
from .control_net import CondControl
from .host_types import DeviceSource, Guider
from .route_settings import RouteSettings

#: What its node writes into the model options.
OPTION = "tiled_diffusion"


def send_to_tiles(specs: Sequence[UnitSpec], guider: Guider, noise: Tensor) -> Sequence[UnitSpec]:
    """Puts the controls of a MODEL on the conds of a sampling that is cut into tiles; returns those that stay.

    All stay where ComfyUI would take a control on the positive for the negative, too: it does so only while there
    is none on the negative.
    """
    borrowed = any(cond.get("control_apply_to_uncond") for cond in each_cond(guider.conds))
    if OPTION not in guider.model_options or borrowed:
        return specs
    _put_on_conds([_make_cond_control(spec, noise) for spec in specs if not spec.off], guider.conds)
    spare_models(guider.conds, guider.model_patcher)
    return ()


def _put_on_conds(ours: Sequence[CondControl], conds: NamedConds) -> None:
    """Appends controls to the chain of each cond. Conds that shared a chain share the longer one, too."""
    chains: dict[int, Any] = {}
    for cond in each_cond(conds):
        chain = cond.get("control")
        if id(chain) not in chains:
            chains[id(chain)] = _join([*reversed([*chain_of(chain)]), *ours])
        cond["control"] = chains[id(chain)]


def _join(controls: Sequence[Any]) -> Any:
    """Returns a chain of copies: the pack replaced `get_control` of those that were first in an earlier chain."""
    chain: Any = None
    for control in controls:
        chain = control.copy().set_previous_controlnet(chain)
    return chain


def _make_cond_control(spec: UnitSpec, noise: Tensor) -> CondControl:
    """Returns a control for the conds, with a hint for each picture, as large as the latents (N, C, H, W)."""
    settings = {one.name: getattr(spec, one.name) for one in fields(RouteSettings)}
    control = CondControl(cast(DeviceSource, spec.source), RouteSettings(**settings))
    height, width = (HINT_DOWNSCALE * side for side in noise.shape[-2:])
    hints = pick_frames(spec.image.movedim(-1, 1), range(len(noise)))
    hints = fit_hint(hints, height, width, spec.hint_fit)
    return control.set_cond_hint(hints, spec.strength, (spec.start_percent, spec.end_percent))
