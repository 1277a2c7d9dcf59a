"""apply: adds one more ControlNet to a clone of a MODEL."""

import logging
from typing import Any

from torch import Tensor

from ...cnet_core import BlockScales, HintRouting
from ...cnet_core.hosting import NetSource, UnitSpec, check_spec
from ...cnet_core.nets.control_types import ControlTypeError
from .control_net import settings_of
from .families import block_count, check_pair
from .foreign import foreign_spec
from .foreign.spec import NO_INPAINT_MASK
from .host_types import Model
from .native import find_source
from .patch import ModelControl
from .route_settings import RouteSettings
from .routed_adapter import RoutedAdapter, unroute
from .tiled_diffusion import send_to_tiles
from .wrappers import KEY

logger = logging.getLogger("cnet")

#: Settings that may have come with the ControlNet, too.
ROUTED = ("mask", "reuse_tolerance", "control_type", "frame_strengths")


def apply_control_net(
    model: Model,
    control_net: Any,
    image: Tensor,
    strength: float,
    start_percent: float,
    end_percent: float,
    routing: HintRouting | None = None,
    scales: BlockScales | None = None,
    **settings: Any,
) -> Model:
    """Returns a clone of `model` that follows `image`; settings of Route ControlNet hold where none is given here.

    Raises:
        TypeError: `control_net` is no control net, or one that only its own pack's nodes can apply; or it is for a
            UNet, and `model` has none.
        ValueError: the two are of different families, an input that the net needs is missing, or a setting makes no
            sense, such as another number of scales than there are blocks.
    """
    given = RouteSettings(routing, scales, **{n: settings.pop(n) for n in ROUTED if n in settings})
    numbers: dict[str, Any] = {
        "strength": strength,
        "start_percent": start_percent,
        "end_percent": end_percent,
        **given.over(_settings_of(control_net)).values(),
        **settings,
    }
    source = find_source(control_net)
    spec = (
        foreign_spec(unroute(control_net), image, **numbers)
        if source is None
        else _unit_spec(model, source, image, **numbers)
    )
    if start_percent > end_percent:
        logger.info(
            "`start_percent` (%s) is after `end_percent` (%s), so this ControlNet is never active.",
            start_percent,
            end_percent,
        )
    earlier = model.get_attachment(KEY)
    clone = model.clone()
    ModelControl([*(earlier.specs if earlier else ()), spec], send_to_tiles).attach(clone)
    return clone


def _settings_of(control_net: Any) -> RouteSettings:
    routed = isinstance(control_net, RoutedAdapter)
    return control_net.settings if routed else settings_of(control_net)


def _unit_spec(
    model: Model,
    source: NetSource,
    image: Tensor,
    *,
    vae: Any = None,  # these nets read pixels
    inpaint_mask: Tensor | None = None,
    **settings: Any,
) -> UnitSpec:
    """Returns the checked settings of a net of this pack, or of a cldm ControlNet of ComfyUI."""
    check_pair(model, source)
    if inpaint_mask is not None:
        raise ValueError(NO_INPAINT_MASK)
    spec = UnitSpec(source, image, **settings)
    try:
        check_spec(spec)
        spec.scales.values((1.0,) * block_count(model))
    except ControlTypeError as error:
        raise ValueError(error.sentence("control_type", "Set it to auto.")) from error
    return spec
