"""UNetAdapter: how to add control to one kind of UNet, and the list of known kinds."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..nets.residuals import Residuals, RowResiduals


class OnCall(Protocol):
    """What an adapter calls at every call of the UNet."""

    def __call__(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None, /
    ) -> Residuals | None:
        """Returns what to add to a call, or None.

        Args:
            x: (B, C, H, W).
            timesteps: a number, or a tensor () or (B,).
            context: (B, tokens, context_dim).
            y: SDXL's vector condition (B, y_dim), or None.
        """
        ...

    def for_rows(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None, /
    ) -> RowResiduals | None:
        """As the call itself, without zeros for the rows that get nothing."""
        ...

    def measure(self, block: int, feature: Tensor, residual: Tensor) -> None:
        """Measures a residual and its feature map for the X-ray, both (B, C, H, W); middle last.

        B rows are all of the call, or those of `for_rows`.

        An adapter may omit this: then the X-ray says that this host does not show its features.
        """
        ...


class UNetAdapter(Protocol):
    """Knows one kind of UNet."""

    def fits(self, unet: nn.Module) -> bool:
        """Whether a model is of this kind, by its attributes rather than its class."""
        ...

    def attach(self, unet: nn.Module, on_call: OnCall) -> Sequence[RemovableHandle]:
        """Makes every call of the UNet call `on_call` and add what that returns.

        Uses hooks only, so that removing the handles, in any order, restores the UNet bit for bit. Must raise
        ValueError if residuals do not fit: control is never dropped silently.
        """
        ...


_adapters: list[UNetAdapter] = []


def register_adapter(adapter: UNetAdapter) -> Callable[[], None]:
    """Adds an adapter to `patch_unet`, before the known ones; returns a function that removes it.

    An adapter for a UNet whose blocks add `self.extra` to their output, if it is set:

        class MyAdapter:
            def fits(self, unet):
                return hasattr(unet, "my_blocks")

            def attach(self, unet, on_call):
                def before(module, args):
                    x, t, text = args
                    found = on_call(x, t, text, None)
                    extras = [None] * len(unet.my_blocks) if found is None else found.blocks
                    for block, extra in zip(unet.my_blocks, extras, strict=True):
                        block.extra = extra

                return [unet.register_forward_pre_hook(before)]

        cn.register_adapter(MyAdapter())
    """
    _adapters.insert(0, adapter)
    return lambda: _adapters.remove(adapter)


def adapter_for(unet: nn.Module) -> UNetAdapter:
    """Returns the adapter for a model.

    Raises:
        TypeError: no adapter knows such a model.
    """
    for adapter in _adapters:
        if adapter.fits(unet):
            return adapter
    raise TypeError(
        f"`unet` is a {type(unet).__name__}, which has neither ldm's `input_blocks`, `middle_block` and "
        "`output_blocks` nor diffusers' arguments for additional residuals; give the UNet itself, not what holds it "
        "(`pipe.unet`, `model.model.diffusion_model`), or see cnet_core.register_adapter."
    )
