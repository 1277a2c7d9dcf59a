"""Format: everything that distinguishes one format of ControlNet files from another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...nets.controlnet import ControlNet
from ..shapes import Keys, Shapes
from ..wrappers import control_names

Weights = Mapping[str, Tensor]


def has(*keys: str) -> Callable[[Keys], bool]:
    """Returns a predicate: whether a file has all of these keys."""
    return lambda found: all(key in found for key in keys)


def _keep_keys(keys: Keys) -> dict[str, str]:
    return {key: key for key in keys}


def _keep_shapes(shapes: Shapes) -> Shapes:
    return shapes


def _refuse_to_write(net: ControlNet, base: Weights) -> dict[str, Tensor]:
    raise ValueError("Files of this format are read and not written.")


@dataclass(frozen=True)
class Format:
    """One format of ControlNet files. Keys are a ControlNet's own, without a prefix, unless noted.

    Args:
        name: for messages; for a format that is written, also the `layout` of save_controlnet.
        matches: whether a file has this format, by all of its keys.
        to_ldm: file key -> key of cnet_core.ControlNet.
        marker: the key that marks the format and holds no weights.
        note: what `identify` says about such a file; {base} is the caller's name for the base model.
        whole_shapes: shapes by key in the file -> shapes of the net, as far as the file has them.
        complete: (tensors, the base's encoder, path for messages) -> the whole net's weights; None: they are whole.
        write: (net, the base's encoder) -> the tensors of a file.
        folder_config: the config.json of a folder of this format; None: the format is a single file.
    """

    name: str
    matches: Callable[[Keys], bool]
    to_ldm: Callable[[Keys], dict[str, str]] = _keep_keys
    marker: str | None = None
    note: str | None = None
    whole_shapes: Callable[[Shapes], Shapes] = _keep_shapes
    complete: Callable[[Weights, Weights, str], dict[str, Tensor]] | None = None
    write: Callable[[ControlNet, Weights], dict[str, Tensor]] = _refuse_to_write
    folder_config: Callable[[ControlNet], Mapping[str, Any]] | None = None

    @property
    def needs_base(self) -> bool:
        """Whether the file lacks weights that only the base model has."""
        return self.complete is not None

    def rename(self, keys: Keys) -> dict[str, str]:
        """Returns file key -> key of cnet_core.ControlNet, for the weights that belong to it."""
        own = control_names(keys)
        names = self.to_ldm(own.values())
        return {old: names[k] for old, k in own.items() if k in names and k != self.marker}

    def shapes(self, stored: Shapes) -> Shapes:
        """Returns the shapes of the net in a file, by its own keys."""
        return self.whole_shapes({new: stored[old] for old, new in self.rename(stored).items()})
