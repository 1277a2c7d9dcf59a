"""The empty net that a file's weights fit: its config from shapes, built on the meta device."""

from collections.abc import Mapping
from dataclasses import dataclass
from json import loads
from typing import Any, cast

import torch

from ..nets.blocks import TORCH_OPS, Ops
from ..nets.casting import CASTING_OPS
from ..nets.config import UNetConfig
from ..nets.controlnet import ControlNet
from ..nets.union import TYPES, UnionControlNet
from .diffusers_config import check_config, is_pooled, with_config_heads
from .metadata import CONFIG_KEY, POOLED_KEY
from .shapes import Shapes, unet_config_of


@dataclass(frozen=True)
class Structure:
    """Everything about a net except its weights."""

    config: UNetConfig
    hint_channels: int
    num_types: int = 0  # above 0: a Union
    pooled: bool = False

    def build(self, ops: Ops = TORCH_OPS) -> ControlNet:
        """Returns the net on the meta device: no memory, no random numbers."""
        layers = CASTING_OPS if ops is TORCH_OPS else ops
        if layers is CASTING_OPS and not self.num_types:  # built there directly, which is faster
            return self._build(layers)
        with torch.device("meta"):
            return self._build(layers)

    def _build(self, ops: Ops) -> ControlNet:
        if not self.num_types:
            return ControlNet(self.config, self.hint_channels, ops, pooled=self.pooled)
        return UnionControlNet(
            self.config, self.hint_channels, ops, num_types=self.num_types, pooled=self.pooled
        )


def structure_of(
    shapes: Shapes, metadata: Mapping[str, str], folder_config: Mapping[str, Any]
) -> Structure:
    """Returns the structure of a file's net.

    Shapes do not show the number of heads and whether the net pools. These come from the metadata, from diffusers'
    config, or from the family's defaults. Everything else comes from the shapes, whatever the texts say.

    Args:
        shapes: by the keys of cnet_core.ControlNet.
        metadata: of the file.
        folder_config: a diffusers config.json, or nothing.

    Raises:
        ValueError: the shapes are not those of a ControlNet.
        UnsupportedConfig: the config.json asks for something that is not supported.
    """
    check_config(folder_config)
    config = with_config_heads(unet_config_of(shapes), folder_config)
    config = _with_saved_heads(config, metadata.get(CONFIG_KEY))
    hint, tasks = shapes.get("input_hint_block.0.weight"), shapes.get("task_embedding")
    if tasks is not None and not (len(tasks) == 2 and 0 < tasks[0] <= len(TYPES)):
        raise ValueError(
            f"Its task_embedding has the shape {list(tasks)}; at most {len(TYPES)} types are supported."
        )
    pooled = metadata.get(POOLED_KEY) == "true" or is_pooled(folder_config)
    return Structure(
        config,
        hint[1] if hint and len(hint) == 4 else 3,
        tasks[0] if tasks else 0,
        pooled,
    )


def _with_saved_heads(config: UNetConfig, text: str | None) -> UNetConfig:
    try:
        values = loads(text or "{}")
    except (ValueError, RecursionError):
        return config
    if not isinstance(values, dict):
        return config
    saved = cast(dict[str, Any], values)
    heads, width = saved.get("num_heads"), saved.get("head_dim")
    if isinstance(heads, list):
        heads = tuple(cast(list[Any], heads))
    try:
        return config.with_heads(heads, width) if _are_counts(heads, width) else config
    except ValueError:  # the text belongs to another net
        return config


def _are_counts(heads: Any, width: Any) -> bool:
    """Whether one of the two is a number, or `heads` one by level."""
    if width is not None:
        return heads is None and isinstance(width, int)
    counts = cast(tuple[Any, ...], heads) if isinstance(heads, tuple) else (heads,)
    return all(isinstance(count, int) for count in counts)
