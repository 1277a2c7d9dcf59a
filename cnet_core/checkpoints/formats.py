"""Formats of ControlNet files: an ordered table of predicates on keys, specific before broad."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from . import diffusers
from .ldm import without_markers
from .shapes import Shapes
from .wrappers import control_names

Keys = Collection[str]


@dataclass(frozen=True)
class Format:
    """One format: its name, how it is told, how its keys become those of cnet_core.ControlNet.

    `matches` sees all keys of a file with the ControlNet's own without a prefix, `translate` its own alone.
    """

    name: str
    matches: Callable[[Keys], bool]
    translate: Callable[[Keys], dict[str, str]]
    needs_base: bool = False

    def rename(self, keys: Keys) -> dict[str, str]:
        """Returns file key -> key of cnet_core.ControlNet, of those that belong to it."""
        own = control_names(keys)
        names = self.translate(own.values())
        return {old: names[key] for old, key in own.items() if key in names}


def _has(*keys: str) -> Callable[[Keys], bool]:
    return lambda found: all(key in found for key in keys)


_is_ldm = _has("zero_convs.0.0.weight")


def _is_full(keys: Keys) -> bool:
    return _is_ldm(keys) and any(key.startswith("model.diffusion_model.") for key in keys)


FORMATS = (
    Format("control-lora", _has("lora_controlnet"), without_markers, needs_base=True),
    Format("difference", _has("difference", "zero_convs.0.0.weight"), without_markers, True),
    Format("full ldm checkpoint", _is_full, without_markers),
    Format("ldm", _is_ldm, without_markers),
    Format("diffusers", _has("controlnet_cond_embedding.conv_in.weight"), diffusers.to_ldm),
)


def format_of(keys: Keys) -> Format | None:
    """Returns the format of a file with these keys, or None when it is none of a ControlNet's."""
    found = {*keys, *control_names(keys).values()}
    return next((f for f in FORMATS if f.matches(found)), None)


def control_shapes(format: Format, shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the net in a file of `format`, by its own keys; a LoRA's pairs as the weights they make."""
    named = {new: shapes[old] for old, new in format.rename(shapes.keys()).items()}
    found = {key: shape for key, shape in named.items() if not key.endswith((".up", ".down"))}
    for key, up in named.items():
        down = named.get(f"{key.removesuffix('.up')}.down")
        if key.endswith(".up") and down and up:
            found[f"{key.removesuffix('.up')}.weight"] = (up[0], *down[1:])
    return found if format.needs_base else named
