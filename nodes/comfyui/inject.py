"""Injection: adds residuals in ComfyUI's UNet, through its `output_block_patch`.

ComfyUI adds its own `control` to the skips with code that only logs a mismatch. A patch sees the feature map
itself, so a mismatch can raise. As the first patch it adds before any other node's, as native control does.

The outermost wrapper computes the residuals of a call. Between it and the UNet, other packs may also run the UNet
on other latents (a reference picture). So `inject`, the innermost wrapper, compares the latents first.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...cnet_core.engine.tracing import never_trace
from ...cnet_core.nets.residuals import RowResiduals, add_residual_, fit_to_feature
from ...cnet_core.xray import Watch
from .host_types import Executor, Options, UNetModel
from .shared import SharedByCopies

PATCH = "output_block_patch"
#: The key of a call's Injection in the transformer options.
INJECTION = "cnet_injection"


def inject(
    executor: Executor[UNetModel],
    x: Tensor,
    timesteps: Any = None,
    context: Any = None,
    y: Any = None,
    control: Any = None,
    transformer_options: Options | None = None,
    **kwargs: Any,
) -> Any:
    """Adds the patch to the UNet's options, if the UNet runs on the latents of the residuals.

    It is a DIFFUSION_MODEL wrapper in ComfyUI's terms, and must be the innermost.
    """
    options = {} if transformer_options is None else transformer_options
    injection: Injection | None = options.get(INJECTION)
    if injection is not None and injection.belongs_to(x):
        options = injection.patch_options(options)
    return executor(x, timesteps, context, y, control, options, **kwargs)


class Injection(SharedByCopies):
    """The residuals of one call of the UNet, and the latents that they belong to."""

    def __init__(
        self, x: Tensor, residuals: RowResiduals, on_resize: Callable[[], None], watch: Watch
    ) -> None:
        self._x = x
        self._patch = _Patch(residuals, on_resize, watch)
        self._belonged: list[bool] = []  # by pass of the UNet

    @never_trace
    def belongs_to(self, x: Tensor) -> bool:
        """Whether a pass of the UNet is on these latents; another pack may have appended channels."""
        channels = self._x.shape[1]
        found = x is self._x or (
            x.shape[:1] + x.shape[2:] == self._x.shape[:1] + self._x.shape[2:]
            and torch.equal(x[:, :channels].to(self._x), self._x)
        )
        self._belonged.append(found)
        return found

    def patch_options(self, options: Mapping[str, Any]) -> Options:
        """Returns a call's transformer options with the injection as the first patch; `options` does not change."""
        patches = options.get("patches", {})
        return {**options, "patches": {**patches, PATCH: [self._patch, *patches.get(PATCH, [])]}}

    def check_used(self) -> None:
        """Raises RuntimeError if the UNet ran, but never on these latents. A cache may have skipped it entirely."""
        if self._belonged and not any(self._belonged):
            raise RuntimeError(
                "A node changed the latents between ApplyControlNet and the UNet, so the control would not fit them. "
                "Use it without ApplyControlNet, or put the ControlNet on the conditionings with ComfyUI's own "
                "Apply ControlNet node."
            )


class _Patch(SharedByCopies):
    """Adds the middle's residual before the first output block, and each skip's before the block that takes it."""

    def __init__(
        self, residuals: RowResiduals, on_resize: Callable[[], None], watch: Watch
    ) -> None:
        # The controlled rows, if they are adjacent; None: all rows.
        self._rows, self._residuals = residuals.locate()
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
        if self._rows is not None and torch.is_grad_enabled():
            feature = feature.clone()  # autograd may need the feature as it is
        part = feature if self._rows is None else feature[self._rows]
        if residual.shape[:2] == part.shape[:2] and residual.shape[2:] != part.shape[2:]:
            self._on_resize()  # a node shrinks the features on purpose
            residual = F.interpolate(residual, size=part.shape[-2:], mode="area")
        residual = fit_to_feature(residual, part, name)
        self._watch.measure(block, part, residual)
        if self._rows is None:
            # In place if no gradients are recorded, as native control does.
            return add_residual_(part, residual)
        part += residual
        return feature
