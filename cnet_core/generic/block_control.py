"""control_blocks: adds ControlNet's block to a model by module path, and removes it again."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..checkpoints.container.files import read_tensors, write_tensors
from .control_block import ControlBranch, run_with_branch


class BlockControl(nn.Module):
    """Copies and zero convolutions next to the blocks of a locked model; set `condition` before a forward.

    The model keeps its modules, its state_dict keys and its calls. With control, the whole model is frozen;
    `remove()` restores `requires_grad` of every parameter and the mode of every module.
    """

    def __init__(
        self, model: nn.Module, condition_channels: Mapping[str, int], channels_last_dim: bool
    ) -> None:
        super().__init__()
        _check_free(model)
        modules: dict[str, nn.Module] = dict(
            cast("Iterable[tuple[str, nn.Module]]", model.named_modules())
        )
        blocks = {path: _block(modules, path) for path in condition_channels}
        self._names = {path: path.replace(".", "/") for path in blocks}
        self.branches = nn.ModuleDict(
            {
                self._names[path]: ControlBranch(
                    block, condition_channels[path], channels_last_dim=channels_last_dim
                )
                for path, block in blocks.items()
            }
        )
        self._condition: Tensor | dict[str, Tensor] | None = None
        self._entered: dict[str, Tensor] = {}
        self._before = [(p, p.requires_grad) for p in model.parameters()]
        self._modes = [(m, m.training) for m in model.modules()]
        model.requires_grad_(False).eval()
        self._hooks: list[RemovableHandle] = []
        for path, block in blocks.items():
            self._hooks += [
                block.register_forward_pre_hook(partial(self._enter, path), with_kwargs=True),
                block.register_forward_hook(partial(self._leave, path), with_kwargs=True),
            ]

    @property
    def condition(self) -> Tensor | dict[str, Tensor] | None:
        """The condition of the next forward: one tensor for every block, or path -> tensor."""
        return self._condition

    @condition.setter
    def condition(self, value: Tensor | Mapping[str, Tensor] | None) -> None:
        if isinstance(value, Mapping) and value.keys() != self._names.keys():
            raise ValueError(
                f"`condition` is for {sorted(value)}; it must be one tensor, or one for each of {sorted(self._names)}."
            )
        self._condition = dict(value) if isinstance(value, Mapping) else value

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Returns the parameters of all copies and zero convolutions.

        Raises:
            ValueError: the channels are not known yet: run the model once.
        """
        return [p for path in self._names for p in self._branch(path).trainable_parameters()]

    def save(self, path: str | Path) -> None:
        """Writes copies and zero convolutions, without the model, atomically as safetensors."""
        self.trainable_parameters()  # raises if there is nothing complete to save
        write_tensors(self.branches.state_dict(), path, {})

    def load(self, path: str | Path) -> None:
        """Loads what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it is damaged, or for other blocks.
        """
        tensors, _ = read_tensors(path)
        strangers = {key.split(".")[0] for key in tensors} - set(self._names.values())
        if strangers:
            raise ValueError(
                f"{path} holds control for {sorted(strangers)}, which is not in {sorted(self._names.values())}."
            )
        for block, name in self._names.items():
            weights = {
                key.removeprefix(f"{name}."): value
                for key, value in tensors.items()
                if key.startswith(f"{name}.")
            }
            self._branch(block).load(weights, f"{path} ({block})")

    def remove(self) -> None:
        """Removes the control from the model; a second call does nothing."""
        for hook in self._hooks:
            hook.remove()
        for parameter, required in self._before:
            parameter.requires_grad_(required)
        for module, training in self._modes:
            module.training = training
        self._hooks, self._before, self._modes = [], [], []
        self._entered.clear()

    def __enter__(self) -> "BlockControl":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def _branch(self, path: str) -> ControlBranch:
        return cast(ControlBranch, self.branches[self._names[path]])

    def _enter(
        self, path: str, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Keeps x + Z1(c) before the block runs, as it may work in place."""
        found = self._condition
        c = found[path] if isinstance(found, dict) else found
        if c is None:
            raise ValueError(
                "Set `condition` on what control_blocks returned before the model runs, or remove() it."
            )
        self._entered[path] = self._branch(path).enter(_input(args, kwargs), c)

    def _leave(
        self,
        path: str,
        block: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        output: Any,
    ) -> Any:
        entered = self._entered.pop(path)
        return run_with_branch(
            self._branch(path), output, args, kwargs, _input(args, kwargs), entered
        )


def control_blocks(
    model: nn.Module, condition_channels: Mapping[str, int], *, channels_last_dim: bool = False
) -> BlockControl:
    """Adds control to blocks of a model and returns it, active at once: `control.condition = c`, then `model(x)`.

    A block's output becomes F(x; locked) + Z2(F(x + Z1(c); copy)); at first that is F(x), bit for bit. The handle is
    a separate module: move it with the model, and give its `trainable_parameters()` to the optimizer.

    Args:
        model: any module; it is frozen and put into eval mode until `remove()`.
        condition_channels: module path, such as "encoder.3" -> channels of its condition.
        channels_last_dim: the blocks' channels are the last dimension, not dimension 1.

    Raises:
        ValueError: no such path, or a model that already has control.
    """
    if not condition_channels:
        raise ValueError("`condition_channels` is empty: name at least one block.")
    return BlockControl(model, condition_channels, channels_last_dim)


def _block(modules: Mapping[str, nn.Module], path: str) -> nn.Module:
    if path not in modules:
        near = [name for name in modules if name.startswith(path.split(".")[0])] or list(modules)
        raise ValueError(
            f"The model has no module {path!r}; it has {', '.join(map(repr, near[:8]))} …."
        )
    return modules[path]


def _check_free(model: nn.Module) -> None:
    for module in model.modules():
        hooks: Mapping[int, Any] = vars(module)["_forward_hooks"]
        owners = (getattr(getattr(h, "func", h), "__self__", None) for h in hooks.values())
        if any(isinstance(owner, BlockControl) for owner in owners):
            raise ValueError(
                "This model already has control: remove() it first, or name all blocks in one call."
            )


def _input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Returns a block's first argument."""
    first = args[0] if args else next(iter(kwargs.values()), None)
    if not isinstance(first, Tensor):
        raise ValueError(f"The block's first argument is a {type(first).__name__}, not a tensor.")
    return first
