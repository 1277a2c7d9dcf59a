"""Adapter for UNets built like ldm's: CompVis, Stability's sgm, cnet_core.UNet, fakes of a few lines.

Their encoder keeps what each of `input_blocks` returns and their decoder calls `output_blocks[k](cat([h, skip]), ...)`.
So forward hooks see the skips, a forward pre-hook adds a residual to the last channels of that input, and a forward
hook adds to the middle's output. Nothing else of the forward changes. Without gradients the hook adds in place,
which assumes that only the block reads the concatenation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..nets.residuals import add_residual, fit_to_feature
from .adapter import OnCall
from .arguments import argument_names, name_arguments, require


class LdmAdapter:
    """Injects by hooks on `input_blocks`, `middle_block` and `output_blocks`."""

    def fits(self, unet: nn.Module) -> bool:
        """Whether the model has ldm's three lists of blocks, with as many output as input blocks."""
        blocks, middle, outputs = (
            getattr(unet, name, None) for name in ("input_blocks", "middle_block", "output_blocks")
        )
        if not (isinstance(blocks, nn.Module) and isinstance(outputs, nn.Module)):
            return False
        counts = (len(list(blocks.children())), len(list(outputs.children())))
        return isinstance(middle, nn.Module) and counts[0] == counts[1]

    def attach(self, unet: nn.Module, on_call: OnCall) -> Sequence[RemovableHandle]:
        """Hooks `on_call` into the UNet."""
        calls = _Calls(unet, on_call)
        inputs = unet.get_submodule("input_blocks").children()
        outputs = unet.get_submodule("output_blocks").children()
        return [
            unet.register_forward_pre_hook(calls.begin, with_kwargs=True),
            *(b.register_forward_hook(_SeeSkip(calls, k)) for k, b in enumerate(inputs)),
            unet.get_submodule("middle_block").register_forward_hook(calls.add_middle),
            *(
                b.register_forward_pre_hook(_AddSkip(calls, calls.count - 1 - k))
                for k, b in enumerate(outputs)  # the decoder takes the skips from the deepest on
            ),
            unet.register_forward_hook(calls.check_all_added),
            unet.register_forward_hook(calls.forget, always_call=True),
        ]


class _Calls:
    """The current call: the widths of the UNet's skips, and the residuals that are not added yet."""

    def __init__(self, unet: nn.Module, on_call: OnCall) -> None:
        self.count = len(list(unet.get_submodule("output_blocks").children()))
        self.widths: list[int | None] = [None] * self.count  # of the skips, as they come
        self.left: list[Tensor | None] = [None] * (self.count + 1)  # the middle's last
        self.rows: slice | None = None  # that get them; None: all
        self.batch = 0
        self.on_call = on_call
        self._names = argument_names(unet)

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Computes the residuals of the call."""
        self.forget(module, args, None)  # left over from an interrupted call
        given = name_arguments(self._names, args, kwargs)
        x, timesteps = (require(given, name) for name in self._names[:2])
        answer = self.on_call.for_rows(x, timesteps, require(given, "context"), given.get("y"))
        if answer is None:
            return
        # With gradients nothing is added in place, so the sum covers all rows.
        whole = torch.is_grad_enabled()
        self.rows, found = (None, answer.expand()) if whole else answer.locate()
        self.batch = answer.batch
        if len(found.skips) != self.count:
            raise ValueError(
                f"The ControlNet gives {len(found.skips)} skip residuals, but the UNet has {self.count} skip "
                "connections: the two are of different families (SD1.x and SD2.x have 12, SDXL 9)."
            )
        self.left = list(found.blocks)

    def add_middle(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Adds the middle's residual to its output."""
        residual, self.left[-1] = self.left[-1], None
        if residual is None:
            return None
        rows = self.rows_of(output)
        if rows is None:
            added = add_residual(output, residual, "the middle")
            self.on_call.measure(self.count, output, residual)
            return added
        added = output.clone()  # other hooks may have kept the output
        self.add_rows_(added[rows], residual, self.count, "the middle")
        return added

    def rows_of(self, feature: Tensor) -> slice | None:
        """Returns the rows of a feature map that get residuals; None for all, and where it has another batch."""
        return self.rows if len(feature) == self.batch else None

    def add_rows_(self, part: Tensor, residual: Tensor, block: int, name: str) -> None:
        """Adds a residual to rows of a feature map in place; raises as `fit_to_feature`."""
        residual = fit_to_feature(residual, part, name)
        self.on_call.measure(block, part, residual)
        part += residual

    def check_all_added(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        """Raises RuntimeError if a block was never called through its hooks."""
        left = [index for index, residual in enumerate(self.left) if residual is not None]
        if left:
            raise _missed_blocks_error(left)

    def forget(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        """Drops every tensor of the call, even after an exception."""
        self.widths = [None] * self.count
        self.left = [None] * (self.count + 1)


class _SeeSkip:
    """Forward hook of input block `index`: records the skip's width."""

    def __init__(self, calls: _Calls, index: int) -> None:
        self.calls, self.index = calls, index

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if self.calls.left[self.index] is not None:
            self.calls.widths[self.index] = output.shape[1]


class _AddSkip:
    """Forward pre-hook of the output block that takes skip `index`: adds the residual to the input's last channels."""

    def __init__(self, calls: _Calls, index: int) -> None:
        self.calls, self.index = calls, index

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        residual, self.calls.left[self.index] = self.calls.left[self.index], None
        width, self.calls.widths[self.index] = self.calls.widths[self.index], None
        if residual is None:
            return None
        if width is None:
            raise _missed_blocks_error([self.index])
        joined, name = args[0], f"skip connection {self.index}"
        rows = self.calls.rows_of(joined)
        skipped = joined[:, -width:] if rows is None else joined[rows, -width:]
        if not torch.is_grad_enabled():
            self.calls.add_rows_(skipped, residual, self.index, name)
            return None
        added = add_residual(skipped, residual, name)
        self.calls.on_call.measure(self.index, skipped, residual)
        return (torch.cat([joined[:, :-width], added], dim=1), *args[1:])


def _missed_blocks_error(blocks: list[int]) -> RuntimeError:
    return RuntimeError(
        f"Control was not added at the blocks {blocks}: the UNet ran without their hooks. If it was compiled before "
        "it was patched, call torch.compiler.reset() after patch_unet."
    )
