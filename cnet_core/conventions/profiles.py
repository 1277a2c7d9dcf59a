"""Profiles: exact settings of other tools' options, by name. docs/profiles.md has the table.

Sources, by commit:
    lllyasviel/ControlNet                      ed85cd1  gradio_canny2image.py, cldm/cldm.py
    huggingface/diffusers                      58eb52c  models/controlnets/controlnet.py, pipelines/controlnet/
    Mikubill/sd-webui-controlnet               56cec5b  scripts/hook.py, scripts/controlnet.py
    lllyasviel/stable-diffusion-webui-forge    dfdcbab  sd_forge_controlnet/scripts/controlnet.py, backend/patcher/
    Kosinkadink/ComfyUI-Advanced-ControlNet    9e60d8a  adv_control/control.py, adv_control/utils.py
    invoke-ai/InvokeAI                         8e71a8a  backend/stable_diffusion/extensions/controlnet.py
    comfyanonymous/ComfyUI                     v0.3.75  comfy/controlnet.py
    Zhang, Rao, Agrawala                       arXiv 2302.05543, section 3.2 "CFG resolution weighting"
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ..control.net import Net
from ..control.routing import HintRouting
from ..control.scales import BlockScales
from ..control.weighting import POOL_FIRST, Order
from ..control.windows import Window
from ..engine.stack import ControlUnit


@dataclass(frozen=True)
class Profile:
    """What one tool does with one of its options.

    Attributes:
        routing: which branch of guidance gets control.
        scales: how much each block gets.
        window: how to read start and end.
        order: the order of pooling, scaling and masking.
        if_pooled: what the tool does instead with ControlNets that are pooled ("shuffle"), if that differs.
    """

    routing: HintRouting
    scales: BlockScales
    window: Window
    order: Order
    if_pooled: "Profile | None" = None

    def unit(
        self,
        net: Net,
        hint: Tensor | tuple[Tensor, ...],
        strength: float = 1.0,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        mask: Tensor | None = None,
        control_types: Sequence[str] | None = None,
    ) -> ControlUnit:
        """Returns a ControlUnit that does what the tool does with this ControlNet; arguments as in ControlUnit."""
        way = self if self.if_pooled is None or not net.pooled else self.if_pooled
        return ControlUnit(
            net,
            hint,
            strength,
            way.routing,
            way.scales,
            start_percent,
            end_percent,
            mask,
            control_types,
            window=way.window,
            order=way.order,
        )


def profile(name: str) -> Profile:
    """Returns the profile of that name; `PROFILE_NAMES` has them all.

    Raises:
        ValueError: no such profile.
    """
    if name not in _PROFILES:
        raise ValueError(f"`name` is {name!r}; it must be one of {', '.join(PROFILE_NAMES)}.")
    return _PROFILES[name]


_BOTH, _COND = HintRouting.both(), HintRouting.cond_only()
_UNIFORM, _SOFT, _LOGSPACE = BlockScales.uniform(), BlockScales.soft(), BlockScales.logspace()
_WEBUI_SCALES = BlockScales.webui()

#: Orders of the other tools; a tool without masks has its mask last.
_SCALE_POOL: Order = ("scale", "pool", "mask")
_SCALE_MASK_POOL: Order = ("scale", "mask_bilinear", "pool")
_POOL_SCALE_MASK: Order = ("pool", "scale", "mask_bilinear")
_POOL_MASK_SCALE: Order = ("pool", "mask_bilinear", "scale")


def _cldm(routing: HintRouting, scales: BlockScales) -> Profile:
    return Profile(routing, scales, Window.training(), _SCALE_POOL)


def _diffusers(routing: HintRouting, scales: BlockScales, window: Window) -> Profile:
    """ControlNetModel.forward gives a pooled net uniform scales in guess mode too."""
    found = Profile(routing, scales, window, _SCALE_POOL)
    return replace(found, if_pooled=replace(found, scales=_UNIFORM))


def _diffusers_pipeline(routing: HintRouting, scales: BlockScales) -> Profile:
    """The pipeline turns guess mode on for a pooled net: `guess_mode or global_pool_conditions`."""
    found = Profile(routing, scales, Window.diffusers(), _SCALE_POOL)
    return replace(found, if_pooled=replace(found, routing=_COND, scales=_UNIFORM))


def _webui(routing: HintRouting, scales: BlockScales) -> Profile:
    """A pooled net is cond only in every mode: `cfg_injection or global_average_pooling`."""
    found = Profile(routing, scales, Window.webui(), _SCALE_MASK_POOL)
    return replace(found, if_pooled=replace(found, routing=_COND))


def _forge(routing: HintRouting, scales: BlockScales) -> Profile:
    return Profile(routing, scales, Window.training(), _POOL_SCALE_MASK)


_PROFILES: dict[str, Profile] = {
    "lllyasviel": _cldm(_BOTH, _UNIFORM),
    "lllyasviel_guess": _cldm(_COND, _SOFT),
    "diffusers": _diffusers_pipeline(_BOTH, _UNIFORM),
    "diffusers_guess": _diffusers_pipeline(_COND, _LOGSPACE),
    "webui": _webui(_BOTH, _UNIFORM),
    "webui_prompt": _webui(_BOTH, _WEBUI_SCALES),
    "webui_control": _webui(_COND, _WEBUI_SCALES),
    "forge": _forge(_BOTH, _UNIFORM),
    "forge_prompt": _forge(_BOTH, _WEBUI_SCALES),
    "forge_control": _forge(_COND, _WEBUI_SCALES),
    "comfyui": Profile(_BOTH, _UNIFORM, Window.training(), POOL_FIRST),
    "acn_soft": Profile(_BOTH, _SOFT, Window.training(), _POOL_MASK_SCALE),
    "invoke": _diffusers(_BOTH, _UNIFORM, Window.invoke()),
    "invoke_more_prompt": _diffusers(_BOTH, _LOGSPACE, Window.invoke()),
    "invoke_more_control": _diffusers(_COND, _LOGSPACE, Window.invoke()),
    "invoke_unbalanced": _diffusers(_COND, _UNIFORM, Window.invoke()),
    "paper": Profile(
        _COND, BlockScales.resolution(normalised=False), Window.training(), POOL_FIRST
    ),
    "paper_normalised": Profile(_COND, BlockScales.resolution(), Window.training(), POOL_FIRST),
}

#: Every name that `profile` takes.
PROFILE_NAMES = tuple(_PROFILES)
