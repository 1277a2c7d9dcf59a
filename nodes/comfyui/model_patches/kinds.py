"""Which patches of a MODEL are control: the classes of ComfyUI's own nodes, by the file that defines them."""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.samplers

#: Blocks of a Z-Image, over which the layers of its control net are spread.
Z_IMAGE_BLOCKS = 30


@dataclass(frozen=True)
class PatchKind:
    """A class of ComfyUI's whose objects add control to a model's features.

    Attributes:
        slots: where its objects are among a MODEL's patches, and which way of ours calls them there.
        count: net -> how many blocks of its own it has.
        block: net, options of a call -> which of them the call adds, in the model's order.
        chained: whether a block reads the one before, so that none may be left out of a call.
    """

    slots: Mapping[str, str]
    count: Callable[[Any], int]
    block: Callable[[Any, Mapping[str, Any]], int]
    chained: bool = False


def kind_of(patch: Any) -> PatchKind | None:
    """Returns the kind of a patch; None for what is no control, or a class of other code."""
    return KINDS.get((_file_of(type(patch)), type(patch).__name__))


def _file_of(owner: type) -> str:
    """Returns where a class is defined, relative to ComfyUI: other code has classes of the same names."""
    path = Path(getattr(sys.modules.get(owner.__module__), "__file__", None) or "").resolve()
    root = Path(inspect.getfile(comfy.samplers)).resolve().parents[1]
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


def _z_image_refiners(net: Any) -> int:
    return len(net.control_noise_refiner) if net.refiner_control else 0


def _z_image_block(net: Any, call: Mapping[str, Any]) -> int:
    if call.get("block_type") == "noise_refiner":
        return call["block_index"]
    each = round(Z_IMAGE_BLOCKS / net.n_control_layers)
    return _z_image_refiners(net) + call["block_index"] // each


def _model_block(_: Any, call: Mapping[str, Any]) -> int:
    return call["block_index"]


def _lllite_kind(**slots: str) -> PatchKind:
    return PatchKind(slots, lambda net: net.block_count, _model_block)


_EXTRAS = "comfy_extras/nodes_model_patch.py"
_LLLITE = "comfy/ldm/anima/lllite.py"

#: (file in ComfyUI, class) -> kind.
KINDS: dict[tuple[str, str], PatchKind] = {
    (_EXTRAS, "DiffSynthCnetPatch"): PatchKind(
        {"double_block": "features"}, lambda net: len(net.controlnet_blocks), _model_block
    ),
    (_EXTRAS, "ZImageControlPatch"): PatchKind(
        {"noise_refiner": "features", "double_block": "features"},
        lambda net: _z_image_refiners(net) + net.n_control_layers,
        _z_image_block,
        chained=True,
    ),
    (_EXTRAS, "WanUni3CCnetPatch"): PatchKind(
        {"double_block": "features"}, lambda net: net.num_layers, _model_block, chained=True
    ),
    (_LLLITE, "AnimaLLLitePatch"): _lllite_kind(post_input="hint"),
    (_LLLITE, "AnimaLLLiteAttentionPatch"): _lllite_kind(
        attn1_patch="attention", attn2_patch="attention"
    ),
    (_LLLITE, "AnimaLLLiteMLPPatch"): _lllite_kind(mlp_patch="mlp"),
}
