"""patch_unet and the Attachment it returns: control on a UNet until it is removed."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import NoReturn, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..control.clock import LAST_TIMESTEP, CountedStep, TimestepClock
from ..control.rows import RowLayout, rows_of
from ..engine.stack import ControlStack, ControlUnit, Counts, UNetCall
from ..engine.tracing import never_trace
from ..nets.offloaded import check_runs, is_offloaded
from ..nets.residuals import Residuals, RowResiduals
from ..xray.record import Record
from ..xray.watch import Recorder, Watch
from .adapter import adapter_for


class Attachment:
    """Control that is active on a UNet. Use it as a `with` block, or call `remove()`.

    It lives until `remove()`, even without a reference to it; `attachments(unet)` finds it again. Meanwhile the UNet
    cannot be pickled or deep-copied, since neither a copy without control nor a second set of ControlNets would be
    right. `state_dict()` does not change.

    Attributes:
        units: the units that it adds.
        rows: the branches a batch holds, in order, or one Row for each row: see `cnet_core.control.rows.rows_of`.
        cfg_scale: the CFG scale of the run; only `HintRouting.target_gain` needs it.
        step: (index, number of steps) of the current sampling step; only windows that count steps need it.
        before_call: called with this object at every call of the UNet, before anything else; a host sets
            the three above in it.
        pictures: how many pictures, or frames, the last call of the UNet held in each branch.

    Rows, cfg_scale, step and before_call may be set again at any time.
    """

    def __init__(self, unet: nn.Module, units: Sequence[ControlUnit], rows: RowLayout) -> None:
        self.units = tuple(units)
        self.rows = rows
        self.cfg_scale: float | None = None
        self.step: CountedStep | None = None
        self.pictures = 0
        self.before_call: Callable[[Attachment], None] | None = None
        self._stack = ControlStack(self.units)
        self._recorder = Recorder()
        # Blocks that get nothing; while it is a set, even an empty one, nothing is recorded.
        self._left_out: frozenset[int] | None = None
        self._handles: list[RemovableHandle] = [unet.register_forward_pre_hook(self._anchor)]
        try:
            self._handles += adapter_for(unet).attach(unet, _OnCall(self))
        except BaseException:
            self.remove()
            raise

    @property
    def counts(self) -> Counts:
        """How much has been computed so far."""
        return self._stack.counts

    @property
    def record(self) -> Record:
        """What has been injected so far, as numbers on the CPU; it remains after `remove()`. See `cnet_core.xray`.

        The last `xray.watch.LIMIT` calls of the UNet are kept. Reading it waits for the device.
        """
        return self._recorder.record(lambda timestep: 1 - timestep / LAST_TIMESTEP)

    @property
    def records(self) -> bool:
        """Whether calls of the UNet are recorded now."""
        return self._left_out is None

    @contextmanager
    def leave_out(self, blocks: Iterable[int]) -> Generator[None]:
        """Inside this context, these blocks (0 = shallowest, last = middle) get nothing, and nothing is recorded."""
        before, self._left_out = self._left_out, frozenset(blocks)
        try:
            yield
        finally:
            self._left_out = before

    def remove(self) -> None:
        """Removes the control; the UNet is then as before, bit for bit. Safe to call twice."""
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

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "A UNet with control attached cannot be pickled or deep-copied: call remove() on the Attachment first "
            "(`cnet_core.attachments(unet)` finds it), or save the UNet's state_dict()."
        )

    def _anchor(self, module: nn.Module, args: object) -> None:
        """Does nothing: the hook by which `attachments` finds this object."""

    def answer(
        self, watch: Watch, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
    ) -> RowResiduals | None:
        """Returns the residuals for one call of the UNet, and records the call on `watch`."""
        if self.before_call is not None:
            self.before_call(self)
        for unit in self.units:
            _follow(unit.net, x.device)
        steps = torch.as_tensor(timesteps, device=x.device).expand(len(x))
        rows = rows_of(self.rows, len(x))
        clock = TimestepClock(steps, self.step)
        call = UNetCall(x, steps, context, y, rows, self.cfg_scale, host_clock=clock)
        self.pictures = call.pictures
        summed = self._stack.sum_rows(call)
        if self._left_out is not None:
            return None if summed is None else summed.without(self._left_out)
        watch.position = steps[:1].detach().clone()
        watch.rows, watch.cfg_scale = rows, self.cfg_scale
        watch.record_uses(self._stack)
        watch.expect(summed)
        self._recorder.add(watch)
        return summed


#: Control depends on the step, and graphs must not. Not at import: torch's compiler takes ten times as long to load
#: as the rest of the library.
_exclude = cache(never_trace)


class _OnCall:
    """What the adapter of an Attachment calls."""

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._watch = Watch()
        self._answer = _exclude(_OnCall._answer_all)
        self._answer_rows = _exclude(_OnCall._answer_some)

    def __call__(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
    ) -> Residuals | None:
        return self._answer(self, x, timesteps, context, y)

    def for_rows(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
    ) -> RowResiduals | None:
        return self._answer_rows(self, x, timesteps, context, y)

    def _answer_all(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
    ) -> Residuals | None:
        residuals = self._answer_some(x, timesteps, context, y)
        return None if residuals is None else residuals.expand()

    def _answer_some(
        self, x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
    ) -> RowResiduals | None:
        self._watch = Watch()
        return self._attachment.answer(self._watch, x, timesteps, context, y)

    def measure(self, block: int, feature: Tensor, residual: Tensor) -> None:
        if self._attachment.records:
            self._watch.measure(block, feature, residual)


def patch_unet(
    unet: nn.Module,
    units: ControlUnit | Sequence[ControlUnit],
    *,
    rows: RowLayout = ("uncond", "cond"),
) -> Attachment:
    """Returns an Attachment through which every call of `unet` gets the units' control, at once.

    The ControlNets follow the UNet to its device; each keeps its own dtype. `unet.forward(...)`, called instead of the
    module, bypasses every hook and so gets no control. For a compiled UNet `torch.compiler.reset()` is called:
    everything compiled in this process is compiled again at its next call.

    Args:
        unet: an ldm-like UNet (`input_blocks`, `middle_block`, `output_blocks`), a diffusers one, or one for which
            an adapter was registered; it may be compiled.
        units: one or several; their residuals add up.
        rows: the branches a batch holds, in order (the batch is divided into that many equal parts), or one Row for
            each of its rows.

    Raises:
        TypeError: a model that no adapter knows.
        ValueError: a UNet that no ControlNet fits.
    """
    units = [units] if isinstance(units, ControlUnit) else units
    attachment = Attachment(_original(unet), units, rows)
    if _is_compiled(unet):
        torch.compiler.reset()  # the process's: compiled code does not see later hooks
    return attachment


def attachments(unet: nn.Module) -> tuple[Attachment, ...]:
    """Returns a UNet's Attachments in order; `remove()` each of them to get rid of all control."""
    hooks = cast(Mapping[int, object], vars(_original(unet))["_forward_pre_hooks"])
    owners = (getattr(hook, "__self__", None) for hook in hooks.values())
    return tuple({id(o): o for o in owners if isinstance(o, Attachment)}.values())


def _original(unet: nn.Module) -> nn.Module:
    """Returns the module inside torch.compile."""
    return cast(nn.Module, getattr(unet, "_orig_mod", unet))


def _is_compiled(unet: nn.Module) -> bool:
    return _original(unet) is not unet or getattr(unet, "_compiled_call_impl", None) is not None


def _follow(net: object, device: torch.device) -> None:
    """Moves a ControlNet to a device if it is elsewhere; accelerate loads the weights of an offloaded one."""
    if not isinstance(net, nn.Module):
        return
    first = next(net.parameters(), None)
    if first is None or first.device == device:
        return
    if is_offloaded(net):
        check_runs(net)
    else:
        net.to(device)
