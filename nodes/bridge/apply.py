"""apply: a clone of a MODEL with one more ControlNet on it."""

from typing import Any

from torch import Tensor

from ...cnet_core import BlockScales, HintRouting
from .families import block_count, check_pair
from .files import in_words_of_nodes
from .native import source_of
from .patch import KEY, ModelControl
from .spec import UnitSpec, checked


def apply(
    model: Any,
    control_net: Any,
    image: Tensor,
    strength: float,
    start_percent: float,
    end_percent: float,
    routing: HintRouting | None = None,
    scales: BlockScales | None = None,
    **settings: Any,
) -> Any:
    """Returns a clone of `model` (ComfyUI's ModelPatcher) that follows `image`.

    Raises:
        TypeError: `control_net` is neither ours nor one of ComfyUI's cldm ControlNets, or `model` has no UNet.
        ValueError: the two are of different families, or a setting makes no sense, such as another number of
            scales than there are blocks.
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
        checked(spec)
        spec.scales.values((1.0,) * block_count(model))
    except ValueError as error:
        raise ValueError(in_words_of_nodes(str(error))) from error
    earlier = model.get_attachment(KEY)
    clone = model.clone()
    ModelControl([*(earlier.specs if earlier else ()), spec]).attach(clone)
    return clone
