"""ControlNet's block for any network: a locked block, its trainable copy, two zero convolutions.

y_c = F(x; locked) + Z2(F(x + Z1(c); copy)): equation 2 of arXiv 2302.05543, for Conv1d/2d/3d, Linear, attention,
whole stages. `ControlBlock` is that as a module; `control_blocks` (block_control.py) adds it to a model by path.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from ..checkpoints.container.files import read_tensors, write_tensors
from ..checkpoints.keys import check_keys


class ZeroConv(nn.Linear):
    """A 1x1 convolution whose weight and bias start at 0, over any number of dimensions."""

    def __init__(self, in_channels: int, out_channels: int, channel_dim: int) -> None:
        super().__init__(in_channels, out_channels)
        self.channel_dim = channel_dim
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        last = super().forward(input.movedim(self.channel_dim, -1))
        return last.movedim(-1, self.channel_dim)


class ControlBranch(nn.Module):
    """What a condition adds to a locked block's output: Z2(F(x + Z1(c); copy)).

    Missing channel numbers come from the first call, or from the loaded file.
    """

    def __init__(
        self,
        block: nn.Module,
        condition_channels: int,
        *,
        channels_last_dim: bool = False,
        in_channels: int | None = None,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.condition_channels = condition_channels
        self.channel_dim = -1 if channels_last_dim else 1
        self.copy = deepcopy(block)
        for parameter in self.copy.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        self.zero_in: ZeroConv | None = None
        self.zero_out: ZeroConv | None = None
        if in_channels is not None:
            self.zero_in = self._zero_conv(condition_channels, in_channels)
        if out_channels is not None:
            self.zero_out = self._zero_conv(out_channels, out_channels)
        self.register_load_state_dict_pre_hook(_make_zero_convs)

    def enter(self, x: Tensor, c: Tensor) -> Tensor:
        """Returns x + Z1(c), the copy's input.

        Raises:
            ValueError: c has other channels than given, or another size than x.
        """
        self._check(x, c)
        if self.zero_in is None:
            self.zero_in = self._zero_conv(self.condition_channels, x.shape[self.channel_dim], x)
        return x + self.zero_in(c.to(x.dtype))

    def leave(self, y: Tensor) -> Tensor:
        """Returns Z2(y) of the copy's output y."""
        if self.zero_out is None:
            channels = y.shape[self.channel_dim]
            self.zero_out = self._zero_conv(channels, channels, y)
        return self.zero_out(y)

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters of copy and zero convolutions.

        Raises:
            ValueError: the channels are not known yet.
        """
        if self.zero_in is None or self.zero_out is None:
            raise ValueError(
                "The zero convolutions do not know their channels yet: run the block once, or give `in_channels` and "
                "`out_channels`."
            )
        return [p for p in self.parameters() if p.requires_grad]

    def load(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Loads weights; errors call them `name`.

        Raises:
            ValueError: they are for another block.
        """
        before = self.zero_in, self.zero_out
        _make_zero_convs(self, tensors, "")
        try:
            check_keys(self, tensors, name)
        except ValueError:
            self.zero_in, self.zero_out = before
            raise
        self.load_state_dict(tensors)

    def _zero_conv(
        self, in_channels: int, out_channels: int, like: Tensor | None = None
    ) -> ZeroConv:
        conv = ZeroConv(in_channels, out_channels, self.channel_dim)
        like = next((p for p in self.copy.parameters() if p.is_floating_point()), like)
        return conv if like is None else conv.to(like)

    def _check(self, x: Tensor, c: Tensor) -> None:
        dim = self.channel_dim
        fits = (
            c.dim() == x.dim() > 1
            and c.shape[dim] == self.condition_channels
            and c.movedim(dim, -1).shape[:-1] == x.movedim(dim, -1).shape[:-1]
        )
        if not fits:
            raise ValueError(
                f"The condition has the shape {tuple(c.shape)}; it must have x's size {tuple(x.shape)} except for "
                f"{self.condition_channels} channels in dimension {dim} (`channels_last_dim=True` makes it the last)."
            )


class ControlBlock(nn.Module):
    """y_c = F(x; locked) + Z2(F(x + Z1(c); copy)), equation 2 of arXiv 2302.05543.

    At first Z1 and Z2 are zero and the output is the locked block's, bit for bit. The locked block is frozen: no
    gradients, and always in eval mode. It keeps its state_dict keys; all others start with `control.`, so
    that older files of the model load into a model with this block (`strict=False`).
    """

    def __init__(
        self,
        block: nn.Module,
        condition_channels: int,
        *,
        channels_last_dim: bool = False,
        in_channels: int | None = None,
        out_channels: int | None = None,
    ) -> None:
        """Builds the block.

        Args:
            block: F, any module whose first argument is x and whose (first) output is a tensor. It is frozen.
            condition_channels: channels of c.
            channels_last_dim: channels are the last dimension (Linear, attention), not dimension 1 (convolutions).
            in_channels, out_channels: channels of x and of F(x); None takes them from the first call.

        Raises:
            ValueError: the block has a child named `control`.
        """
        super().__init__()
        if any(name == "control" for name, _ in block.named_children()):
            raise ValueError(
                "The block has a child named `control`, which is where the copy's keys go; rename it."
            )
        self.control = ControlBranch(
            block,
            condition_channels,
            channels_last_dim=channels_last_dim,
            in_channels=in_channels,
            out_channels=out_channels,
        )
        self.locked = block.requires_grad_(False).eval()
        self.register_state_dict_post_hook(_strip_locked_)
        self.register_load_state_dict_pre_hook(_restore_locked_)

    def forward(self, x: Tensor, c: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Returns the locked block's output with control added (in a tuple: to its first element).

        Args:
            x: the block's input.
            c: the condition, of x's size except for its channels.
            args, kwargs: further arguments of the block; x among them (self-attention) becomes x + Z1(c) for the copy.

        Raises:
            ValueError: c has another shape.
        """
        entered = self.control.enter(x, c)  # first, as F may work in place
        locked = self.locked(x, *args, **kwargs)
        return run_with_branch(self.control, locked, (x, *args), kwargs, x, entered)

    def train(self, mode: bool = True) -> "ControlBlock":
        """Sets the copy's mode; the locked block stays in eval mode."""
        super().train(mode)
        self.locked.eval()
        return self

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters of copy and zero convolutions.

        Raises:
            ValueError: the channels are not known yet: run the block once, or give them.
        """
        return self.control.trainable_parameters()

    def save(self, path: str | Path) -> None:
        """Writes copy and zero convolutions, without the locked block, atomically as safetensors."""
        self.trainable_parameters()  # raises if there is nothing complete to save
        write_tensors(self.control.state_dict(), path, {})

    def load(self, path: str | Path) -> None:
        """Loads what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it is damaged, or for another block.
        """
        self.control.load(read_tensors(path)[0], str(path))


def run_with_branch(
    control: ControlBranch,
    locked: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    x: Tensor,
    entered: Tensor,
) -> Any:
    """Returns a locked block's output plus the branch's.

    Args:
        control: the branch.
        locked: the block's output, a tensor or a tuple that starts with one.
        args, kwargs: the arguments of the block.
        x: the input among them; the copy gets `entered` instead, wherever it is.
        entered: x + Z1(c).
    """
    swapped = [entered if a is x else a for a in args]
    named = {name: entered if a is x else a for name, a in kwargs.items()}
    copied = control.copy(*swapped, **named)
    if isinstance(locked, tuple):
        first, *rest = cast("tuple[Tensor, ...]", locked)
        return (first + control.leave(copied[0]), *rest)
    return locked + control.leave(copied)


def _make_zero_convs(
    module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, *_: object
) -> None:
    """Creates a branch's missing zero convolutions with the shapes in a state dict."""
    branch = cast(ControlBranch, module)
    for name, in_channels in (("zero_in", branch.condition_channels), ("zero_out", None)):
        bias = tensors.get(f"{prefix}{name}.bias")
        if getattr(branch, name) is None and bias is not None:
            channels = bias.numel()
            conv = branch._zero_conv(in_channels or channels, channels)  # pyright: ignore[reportPrivateUsage]
            setattr(branch, name, conv)


def _strip_locked_(module: nn.Module, tensors: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Removes `locked.` from the keys of a state dict."""
    for key in [k for k in tensors if k.startswith(f"{prefix}locked.")]:
        tensors[prefix + key.removeprefix(f"{prefix}locked.")] = tensors.pop(key)


def _restore_locked_(
    module: nn.Module, tensors: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Restores `locked.` when a state dict is loaded."""
    ours = f"{prefix}control."
    for key in [k for k in tensors if k.startswith(prefix) and not k.startswith(ours)]:
        tensors[f"{prefix}locked.{key.removeprefix(prefix)}"] = tensors.pop(key)
