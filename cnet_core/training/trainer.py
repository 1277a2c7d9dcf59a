"""Trainer: optimizer steps on a ControlNet, the same on any number of processes and after any interruption."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..checkpoints.digest import weights_digest
from ..checkpoints.keys import check_keys
from ..nets.controlnet import ControlNet
from ..nets.low_rank import LowRankControlNet
from ..nets.unet import UNet
from .base import Samples, TrainingBase
from .locked import lock
from .optimizers import make_optimizer, read_moments, restore_moments_
from .order import SampleOrder
from .processes import Processes, SingleProcess
from .settings import Precision, TrainingSettings
from .step import losses, make_noisy_batch

DTYPES: Mapping[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True)
class State:
    """Everything that changes in a run; random numbers and data order are functions of the step."""

    step: int
    tensors: dict[str, Tensor]
    scaler: dict[str, float]  # of fp16's loss scale; empty without it


class Trainer:
    """Trains `net` (or a new ControlNet of the base); the base stays locked.

    Args:
        base: the base model. Its UNet is locked, and moved to the device and to `settings.precision`.
        samples: the samples to train on.
        settings: every number of the computation.
        net: where to start, in float32. None is a new one. With `settings.lora_rank` a net on it learns instead.
        processes: how several processes share the work.
    """

    def __init__(
        self,
        base: TrainingBase,
        samples: Samples,
        settings: TrainingSettings,
        *,
        net: ControlNet | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.base, self.samples, self.settings = base, samples, settings
        self.processes = processes or SingleProcess()
        self.step = 0
        if self.processes.sharded:
            _check_sharded(settings)
        net = _prepare_net(base, settings, net)  # of the UNet's weights before they lose precision
        lock(base.unet).to(self.device, DTYPES[settings.precision])
        self.net = make_trainable(net, base.unet, settings).to(self.device)
        self._skeleton = _copy_to_meta(self.net)
        self._model = self.processes.wrap(self.net)
        trained = {name: p for name, p in self.net.named_parameters() if p.requires_grad}
        self._names, self._parameters = list(trained), list(trained.values())
        copies = (p.detach().clone() for p in self._parameters)
        self._average = list(copies) if settings.ema else None
        self._optimizer = make_optimizer(self._parameters, settings)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self._order = SampleOrder(samples.sizes, settings.batch_size, settings.seed)
        self.processes.share_of(range(settings.batch_size), settings.accumulation)

    @property
    def device(self) -> torch.device:
        """The device of the training."""
        return self.processes.device

    @property
    def result(self) -> ControlNet:
        """The result of this run: the average, if there is one. All processes must call this."""
        if self._average is None and not self.processes.sharded:
            return self.net
        shown = self._parameters if self._average is None else self._average
        net = deepcopy(self._skeleton)
        whole = (self.processes.whole(tensor.detach()).to(self.device) for tensor in shown)
        learned = dict(zip(self._names, whole, strict=True))
        fixed = {n: p for n, p in self.net.named_parameters() if n not in learned}
        net.load_state_dict({**fixed, **learned}, assign=True)
        return net

    def advance(self) -> Tensor:
        """Takes one optimizer step and returns its loss, a number on the device (this process's part of it)."""
        pieces = self.processes.share_of(self._order.batch(self.step), self.settings.accumulation)
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for index, visits in enumerate(pieces):
            with self.processes.sync(self._model, last=index == len(pieces) - 1), self.autocast():
                batch = make_noisy_batch(
                    self.base,
                    self.samples,
                    visits,
                    self.settings.prompt_dropout,
                    self.settings.flip,
                )
                found = losses(self._model, self.base, batch, self.settings.min_snr)
                loss = found.mean() / len(pieces)
                self._scaler.scale(loss).backward()
            total += loss.detach()
        self._update()
        return total

    def autocast(self) -> torch.autocast:
        """Returns the context in which nets compute in the settings' precision."""
        dtype = DTYPES[self.settings.precision]
        return torch.autocast(
            self.device.type, dtype=dtype, enabled=self.settings.precision != "fp32"
        )

    def state(self) -> State:
        """Returns references to everything that the next step depends on.

        All processes must call this; the first one gets the tensors.
        """
        scaler = self._scaler.state_dict() if self._scaler.is_enabled() else {}
        gathered = ((name, self.processes.whole(tensor)) for name, tensor in self._tensors())
        kept = {name: tensor for name, tensor in gathered if self.processes.index == 0}
        return State(self.step, kept, scaler)

    def restore(self, state: State) -> None:
        """Restores what `state` returned; the run then continues bit for bit.

        Raises:
            ValueError: the state belongs to another net or other settings.
        """
        self._fill(self._parameters, state.tensors, "net.")
        if self._average is not None:
            self._fill(self._average, state.tensors, "average.")
        if state.step:
            restore_moments_(self._optimizer, self._moments(state.tensors))
        if state.scaler:
            self._scaler.load_state_dict(state.scaler)
        self.step = state.step

    def _update(self) -> None:
        step = self.step + 1
        for group in self._optimizer.param_groups:
            group["lr"] = self.settings.rate(step)
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._parameters, self.settings.max_grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._average is not None:
            _average_in(self._average, self._parameters, self.settings.ema_decay(step))
        self.step = step

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, tensors in (("net.", self._parameters), ("average.", self._average or ())):
            yield from (
                (prefix + n, t.detach()) for n, t in zip(self._names, tensors, strict=False)
            )
        for index, kept in read_moments(self._optimizer):
            yield from ((f"optimizer.{index}.{k}", tensor) for k, tensor in kept.items())

    def _moments(self, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
        """Returns this process's part of what a state keeps of each parameter, by the parameter's index."""
        found: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            kind, _, rest = key.partition(".")
            if kind == "optimizer":
                index, _, name = rest.partition(".")
                like = self._parameters[int(index)]
                part = self.processes.part(tensor, like) if tensor.dim() else tensor
                found.setdefault(int(index), {})[name] = part
        return found

    @torch.no_grad()
    def _fill(self, into: Sequence[Tensor], tensors: Mapping[str, Tensor], prefix: str) -> None:
        found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        check_keys(self._skeleton, found, "The saved training state", only=self._names)
        for name, tensor in zip(self._names, into, strict=True):
            tensor.copy_(self.processes.part(found[name], tensor))


def _check_sharded(settings: TrainingSettings) -> None:
    """Raises ValueError for settings that need a weight whole where each process holds a part."""
    if settings.precision == "fp16":
        raise ValueError(
            "`precision` is 'fp16', whose loss scale needs the whole gradient; with sharded weights use 'bf16'."
        )
    if settings.lora_rank is not None:
        raise ValueError(
            f"`lora_rank` is {settings.lora_rank}, but the weights are sharded, which a net of low rank does not need; "
            "choose plain multi-GPU in `accelerate config`."
        )
    if settings.optimizer != "adamw":
        raise ValueError(
            f"`optimizer` is {settings.optimizer!r}, which keeps weights whole; with sharded weights use 'adamw'."
        )


def fresh_net(base: TrainingBase, settings: TrainingSettings) -> ControlNet:
    """Returns the ControlNet that a run starts with: the same for the same seed, whatever was drawn before."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return ControlNet.from_unet(base.unet, hint_init=settings.hint_init)


def make_trainable(net: ControlNet, unet: UNet, settings: TrainingSettings) -> ControlNet:
    """Returns the net, in training; only what the settings train requires gradients.

    Args:
        net: in float32. A low-rank one shares the UNet's weights, or casts those of its own to the UNet's dtype.
        unet: the locked UNet.
        settings: say whether nets keep their activations.
    """
    net.requires_grad_(True)
    if isinstance(net, LowRankControlNet):
        net.fix_(unet, DTYPES[settings.precision])
    for module in (unet, net):
        module.gradient_checkpointing = settings.gradient_checkpointing
    return net.train(True)


def _prepare_net(
    base: TrainingBase, settings: TrainingSettings, net: ControlNet | None
) -> ControlNet:
    """Returns the net of a run at its start, in float32 and where it was."""
    start = (fresh_net(base, settings) if net is None else net).to(torch.float32)
    if settings.lora_rank is None:
        return start
    origin = None if net is None else weights_digest(net)
    return LowRankControlNet(start, settings.lora_rank, seed=settings.seed, origin=origin)


def _copy_to_meta(net: ControlNet) -> ControlNet:
    """Returns a copy without data, which is never there for a moment either."""
    weights = (
        (p, nn.Parameter(p.detach().to("meta"), requires_grad=False)) for p in net.parameters()
    )
    return deepcopy(net, {id(weight): hollow for weight, hollow in weights})


@torch.no_grad()
def _average_in(average: list[Tensor], weights: list[nn.Parameter], decay: float) -> None:
    for kept, new in zip(average, weights, strict=True):
        kept.lerp_(new, 1 - decay)
