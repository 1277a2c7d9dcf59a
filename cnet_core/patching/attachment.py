"""patch_unet and the Attachment it returns: control on a UNet until it is removed."""

from collections.abc import Sequence
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..control import ControlStack, ControlUnit, Counts, UNetCall, rows_of
from ..residuals import Residuals
from ..routing import Branch
from .ldm import attach_ldm, is_ldm_like


class Attachment:
    """Control that is active on a UNet. Use it as a `with` block, or call `remove()`.

    It lives until `remove()`, also if nobody holds it. `rows` and `cfg_scale` may be set again at any time.

    Attributes:
        rows: the branches a batch holds, in order: ("uncond", "cond") for guidance in one batch.
        cfg_scale: the CFG scale of the run; only `HintRouting.target_gain` needs it.
    """

    def __init__(
        self, unet: nn.Module, units: Sequence[ControlUnit], rows: Sequence[Branch]
    ) -> None:
        self.rows = tuple(rows)
        self.cfg_scale: float | None = None
        self._stack = ControlStack(units)
        self._handles: list[RemovableHandle] = attach_ldm(unet, self._on_call)

    @property
    def counts(self) -> Counts:
        """What was computed so far."""
        return self._stack.counts

    def remove(self) -> None:
        """Takes the control off the UNet, which is then as it was, bit for bit. Safe to call twice."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._stack.clear()

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def _on_call(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None
    ) -> Residuals | None:
        steps = torch.as_tensor(timesteps, device=x.device).expand(len(x))
        call = UNetCall(x, steps, context, y, rows_of(self.rows, len(x)), self.cfg_scale)
        return self._stack.residuals(call)


def patch_unet(
    unet: nn.Module,
    units: ControlUnit | Sequence[ControlUnit],
    *,
    rows: Sequence[Branch] = ("uncond", "cond"),
) -> Attachment:
    """Returns an Attachment through which every call of `unet` gets the units' control, at once.

    Args:
        unet: an ldm-like UNet (`input_blocks`, `middle_block`, `output_blocks`).
        units: one or several; their residuals add up.
        rows: the branches a batch holds, in order; the batch is cut into that many equal parts.

    Raises:
        TypeError: a model that is no such UNet.
    """
    if not is_ldm_like(unet):
        raise TypeError(
            f"`unet` is a {type(unet).__name__}, which has no `input_blocks`, `middle_block` and `output_blocks`; "
            "only Stable Diffusion UNets built like ldm's can be patched."
        )
    return Attachment(unet, [units] if isinstance(units, ControlUnit) else units, rows)
