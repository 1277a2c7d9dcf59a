"""Injection: residuals into ComfyUI's UNet, through its `output_block_patch`.

ComfyUI adds a `control` of its own to the skips by code that only logs a mismatch. A patch sees the feature map
itself, so a mismatch can raise; put first, it adds before any other node's patch, as native control does.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ...cnet_core import Residuals
from ...cnet_core.residuals import added, fitted
from ...cnet_core.xray import Watch

#: Nodes that shrink the UNet's features on purpose: residuals are resized for them, not refused.
SHRINKING_NODES = ("PatchModelAddDownscale",)
PATCH = "output_block_patch"


def with_residuals(
    options: Mapping[str, Any], residuals: Residuals, on_resize: Callable[[], None], watch: Watch
) -> dict[str, Any]:
    """Returns a call's transformer options with the injection first; `options` stays as it is."""
    patches = options.get("patches", {})
    injection = _Injection(residuals, on_resize if _shrinks(patches) else None, watch)
    return {**options, "patches": {**patches, PATCH: [injection, *patches.get(PATCH, [])]}}


class _Injection:
    """Adds the middle's residual before the first output block, and each skip's before the block that takes it."""

    def __init__(
        self, residuals: Residuals, on_resize: Callable[[], None] | None, watch: Watch
    ) -> None:
        self._residuals = residuals
        self._on_resize = on_resize
        self._watch = watch

    def __call__(
        self, h: Tensor, skip: Tensor, options: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor]:
        index = options["block"][1]
        deepest = len(self._residuals.skips)
        depth = deepest - 1 - index
        if index == 0:
            h = self._add(h, self._residuals.middle, deepest, "the middle")
        return h, self._add(skip, self._residuals.skips[depth], depth, f"skip connection {depth}")

    def _add(self, feature: Tensor, residual: Tensor | None, block: int, name: str) -> Tensor:
        if residual is None:
            return feature
        if self._on_resize is not None and residual.shape[-2:] != feature.shape[-2:]:
            self._on_resize()
            residual = F.interpolate(residual, size=feature.shape[-2:], mode="area")
        residual = fitted(residual, feature, name)
        self._watch.seen(block, feature, residual)
        return added(feature, residual)  # in place, as native control does


def _shrinks(patches: Mapping[str, Any]) -> bool:
    names = ("input_block_patch", "input_block_patch_after_skip")
    return any(
        inspect.unwrap(patch).__qualname__.startswith(SHRINKING_NODES)
        for name in names
        for patch in patches.get(name, [])
        if hasattr(patch, "__qualname__")
    )
