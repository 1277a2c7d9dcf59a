"""Trainer: optimizer steps on a ControlNet, the same on any number of processes and after any interruption."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.keys import check_keys
from ..nets.controlnet import ControlNet
from .base import Samples, TrainingBase
from .locked import lock
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
    """Trains `net` (or a new ControlNet of the base) with AdamW; the base stays locked.

    Args:
        base: the base model. Its UNet is locked, and moved to the device and to `settings.precision`.
        samples: the samples to train on.
        settings: every number of the computation.
        net: where to start, in float32. None is a new one.
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
        net = fresh_net(base, settings) if net is None else net
        self.net = net.to(self.device, torch.float32).train(True).requires_grad_(True)
        self.net.gradient_checkpointing = settings.gradient_checkpointing
        self._skeleton = deepcopy(self.net).to("meta").requires_grad_(False)
        lock(base.unet).to(self.device, DTYPES[settings.precision])
        base.unet.gradient_checkpointing = settings.gradient_checkpointing
        if self.processes.sharded and settings.precision == "fp16":
            raise ValueError(
                "`precision` is 'fp16', whose loss scale needs the whole gradient; with sharded weights use 'bf16'."
            )
        self._model = self.processes.wrap(self.net)
        self._parameters = list(self.net.parameters())
        copies = (p.detach().clone() for p in self._parameters)
        self._average = list(copies) if settings.ema else None
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=settings.learning_rate,
            betas=(settings.beta1, settings.beta2),
            weight_decay=settings.weight_decay,
        )
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
        net.load_state_dict(dict(zip(self._names, whole, strict=True)), assign=True)
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
            groups = self._optimizer.state_dict()["param_groups"]
            moments = dict(self._moments(state.tensors))
            self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
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

    @property
    def _names(self) -> list[str]:
        return [name for name, _ in self._skeleton.named_parameters()]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, tensors in (("net.", self._parameters), ("average.", self._average or ())):
            yield from (
                (prefix + n, t.detach()) for n, t in zip(self._names, tensors, strict=False)
            )
        moments: dict[int, dict[str, Any]] = self._optimizer.state_dict()["state"]
        for index, values in moments.items():
            yield from ((f"optimizer.{index}.{k}", values[k]) for k in MOMENTS)

    def _moments(self, tensors: Mapping[str, Tensor]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Yields AdamW's tensors of each parameter by its index; a parameter without a gradient so far has none."""
        for index, like in enumerate(self._parameters):
            if f"optimizer.{index}.step" not in tensors:
                continue
            found = {k: tensors[f"optimizer.{index}.{k}"] for k in MOMENTS}
            yield (
                index,
                {k: self.processes.part(t, like) if t.dim() else t for k, t in found.items()},
            )

    @torch.no_grad()
    def _fill(self, into: Sequence[Tensor], tensors: Mapping[str, Tensor], prefix: str) -> None:
        found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        check_keys(self._skeleton, found, "The saved training state")
        for name, tensor in zip(self._names, into, strict=True):
            tensor.copy_(self.processes.part(found[name], tensor))


#: The tensors that AdamW keeps per parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def fresh_net(base: TrainingBase, settings: TrainingSettings) -> ControlNet:
    """Returns the ControlNet that a run starts with: the same for the same seed, whatever was drawn before."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return ControlNet.from_unet(base.unet, hint_init=settings.hint_init)


@torch.no_grad()
def _average_in(average: list[Tensor], weights: list[nn.Parameter], decay: float) -> None:
    for kept, new in zip(average, weights, strict=True):
        kept.lerp_(new, 1 - decay)
