"""route_model_patch: a MODEL whose control patches act where and when the settings say."""

from typing import Any

from ....cnet_core import BlockScales, HintRouting
from ..gain_settings import GainSettings
from ..host_types import Model
from ..patch import ModelControl
from ..wrappers import KEY
from .control import PatchControl, block_scales
from .kinds import kind_of
from .routed import copy_patch

NOTHING = (
    "`model` has no control patch that is not routed yet. Connect the output of Apply Qwen Image DiffSynth ControlNet, "
    "Apply Z-Image Fun ControlNet, Apply Anima LLLite or Apply Wan Uni3C ControlNet. For a CONTROL_NET use Apply "
    "ControlNet (to the model)."
)


def route_model_patch(
    model: Model,
    routing: HintRouting | None = None,
    scales: BlockScales | None = None,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
) -> Model:
    """Returns a clone of `model` with its control patches routed; those of an earlier call keep their settings.

    Raises:
        ValueError: there is no control patch, or the scales do not fit its net.
    """
    settings = GainSettings(
        HintRouting.both() if routing is None else routing,
        BlockScales.uniform() if scales is None else scales,
        start_percent,
        end_percent,
    )
    patches = _route_all(model.model_options["transformer_options"].get("patches", {}), settings)
    clone = model.clone()
    clone.model_options["transformer_options"]["patches"] = patches
    earlier = model.get_attachment(KEY)
    ModelControl(earlier.specs if earlier else ()).attach(clone)
    return clone


def _route_all(slots: dict[str, list[Any]], settings: GainSettings) -> dict[str, list[Any]]:
    """Returns a MODEL's patches by slot, those that are control as routed copies."""
    copies: dict[int, Any] = {}
    found = {
        slot: [_route(patch, slot, settings, copies) for patch in slots[slot]]
        for slot in sorted(slots, key=lambda slot: slot != "post_input")
    }
    if not copies:
        raise ValueError(NOTHING)
    return found


def _route(patch: Any, slot: str, settings: GainSettings, copies: dict[int, Any]) -> Any:
    """Returns the routed copy of a control patch, one for all slots that it is in; any other patch as it is."""
    kind = kind_of(patch)
    if kind is None or slot not in kind.slots:
        return patch
    if id(patch) not in copies:
        hint = getattr(patch, "patch", patch)  # the patch that prepares the hint and holds the net
        net = hint.model_patch.model
        control = PatchControl(settings, kind, net, block_scales(settings.scales, kind.count(net)))
        copy = copies[id(patch)] = copy_patch(patch, kind.slots[slot], control)
        if hint is not patch:
            copy.patch = copies[id(hint)]
    return copies[id(patch)]
