"""Adapter for UNets built like ldm's: CompVis, Stability's sgm, ours, fakes of a few lines.

Their decoder calls `output_blocks[k](cat([h, skip]), ...)`, so a residual is added to the last channels of that
input by a forward pre-hook, and to the middle's output by a forward hook. Nothing else of the forward is touched.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..residuals import Residuals, injected

#: (x, timesteps, context, y) of a call of the UNet -> what to add, or None.
OnCall = Callable[[Tensor, Tensor, Tensor, Tensor | None], Residuals | None]


def is_ldm_like(unet: nn.Module) -> bool:
    """Whether the model has ldm's three lists of blocks."""
    return all(
        isinstance(getattr(unet, name, None), nn.Module)
        for name in ("input_blocks", "middle_block", "output_blocks")
    )


def attach_ldm(unet: nn.Module, on_call: OnCall) -> list[RemovableHandle]:
    """Hooks `on_call` into an ldm-like UNet; removing the handles restores it bit for bit."""
    return _LdmHooks(unet, on_call).handles


class _LdmHooks:
    """The hooks of one attachment, and the residuals of the call under way."""

    def __init__(self, unet: nn.Module, on_call: OnCall) -> None:
        blocks = list(unet.get_submodule("output_blocks").children())
        self._on_call = on_call
        self._signature = inspect.signature(unet.forward)
        self._count = len(blocks)
        self._residuals: Residuals | None = None
        self.handles = [
            unet.register_forward_pre_hook(self._before, with_kwargs=True),
            unet.get_submodule("middle_block").register_forward_hook(self._after_middle),
            *(
                block.register_forward_pre_hook(self._skip_hook(index))
                for index, block in enumerate(blocks)
            ),
            unet.register_forward_hook(self._after, always_call=True),
        ]

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = self._signature.bind(*args, **kwargs).arguments
        names = list(self._signature.parameters)
        x, timesteps = given[names[0]], given[names[1]]
        residuals = self._on_call(x, timesteps, given["context"], given.get("y"))
        if residuals is not None and len(residuals.skips) != self._count:
            raise ValueError(
                f"The ControlNet gives {len(residuals.skips)} skip residuals, but the UNet has {self._count} skip "
                "connections: the two are of different families (SD1.x and SD2.x have 12, SDXL 9)."
            )
        self._residuals = residuals

    def _after_middle(
        self, module: nn.Module, args: tuple[Any, ...], output: Tensor
    ) -> Tensor | None:
        if self._residuals is None or self._residuals.middle is None:
            return None
        return injected(output, self._residuals.middle, "the middle")

    def _skip_hook(
        self, index: int
    ) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...] | None]:
        """Output block `index` consumes the skips from the deepest on."""
        skip = self._count - 1 - index

        def add(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            residual = None if self._residuals is None else self._residuals.skips[skip]
            if residual is None:
                return None
            own, skipped = args[0][:, : -residual.shape[1]], args[0][:, -residual.shape[1] :]
            return (
                torch.cat([own, injected(skipped, residual, f"skip connection {skip}")], dim=1),
                *args[1:],
            )

        return add

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        self._residuals = None
