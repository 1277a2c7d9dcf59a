"""apply: adds one more ControlNet to a clone of a MODEL."""

import logging
from typing import Any

from torch import Tensor

from ...cnet_core import BlockScales, HintRouting
from ...cnet_core.control.net import ControlTypeError
from ...cnet_core.hosting import UnitSpec, check_spec
from .families import block_count, check_pair
from .host_types import Model
from .native import source_of
from .patch import ModelControl
from .wrappers import KEY

logger = logging.getLogger("cnet")


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
    """Returns a clone of `model` that follows `image`.

    Raises:
        TypeError: `control_net` is neither a net of this pack nor a cldm ControlNet of ComfyUI, or `model` has no UNet.
        ValueError: the two belong to different families, or a setting does not fit, such as a wrong number
            of scales.
    """
    source = source_of(control_net)
    check_pair(model, source)
    spec = UnitSpec(
        source,
        image,
        strength,
        start_percent,
        end_percent,
        HintRouting.both() if routing is None else routing,
        BlockScales.uniform() if scales is None else scales,
        **settings,
    )
    try:
        check_spec(spec)
        spec.scales.values((1.0,) * block_count(model))
    except ControlTypeError as error:
        raise ValueError(error.sentence("control_type", "Set it to auto.")) from error
    if start_percent > end_percent:
        logger.info(
            "`start_percent` (%s) is after `end_percent` (%s), so this ControlNet is never active.",
            start_percent,
            end_percent,
        )
    earlier = model.get_attachment(KEY)
    clone = model.clone()
    ModelControl([*(earlier.specs if earlier else ()), spec]).attach(clone)
    return clone
