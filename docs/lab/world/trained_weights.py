"""A module's weights as its optimizers see them: float32, and matrices where they are any."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Muon (Jordan et al., 2024) trains matrices whose smaller side has at least this many rows.
LEAST_ROWS = 16


@dataclass(frozen=True)
class Weights:
    """The trained weights of a module, and float32 copies of them; a convolution's is (out, in * height * width)."""

    names: list[str]
    used: list[nn.Parameter]
    kept: list[Tensor]

    @classmethod
    def of(cls, module: nn.Module, dtype: torch.dtype) -> "Weights":
        """Returns the weights that want gradients; from now on `module` has all its weights in `dtype`."""
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        kept = [_flat(p.detach().float()).clone().requires_grad_() for _, p in named]
        for p in module.parameters():
            form = torch.channels_last if p.dim() == 4 else torch.contiguous_format
            p.data = p.data.to(dtype).contiguous(memory_format=form)
        return cls([n for n, _ in named], [p for _, p in named], kept)

    def optimizers(
        self, rate: float, weight_decay: float, plain: tuple[str, ...]
    ) -> list[torch.optim.Optimizer]:
        """Returns Muon for the matrices, AdamW for the rest and for names that begin with one of `plain`."""
        matrices, rest = list[Tensor](), list[Tensor]()
        for name, weight in zip(self.names, self.kept, strict=True):
            small = weight.dim() < 2 or min(weight.shape) < LEAST_ROWS
            (rest if small or name.startswith(plain) else matrices).append(weight)
        adam = torch.optim.AdamW(rest, rate, (0.9, 0.99), weight_decay=weight_decay, fused=True)
        if not matrices:
            return [adam]
        # Updates of AdamW's size, so that one rate suits both.
        muon = torch.optim.Muon(
            matrices, rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        return [muon, adam]

    def take_gradients(self) -> None:
        """Moves the module's gradients to the float32 weights."""
        for used, kept in zip(self.used, self.kept, strict=True):
            assert used.grad is not None
            # AdamW's fused kernel reads memory in order: a gradient needs its weight's own layout.
            kept.grad = _flat(used.grad.float()).contiguous()
            used.grad = None

    @torch.no_grad()
    def give_back(self) -> None:
        """Copies the float32 weights into the module."""
        for used, kept in zip(self.used, self.kept, strict=True):
            used.copy_(kept.reshape(used.shape))

    @torch.no_grad()
    def fill(self, module: nn.Module, values: list[Tensor]) -> None:
        """Copies other values of the weights into `module`, a copy of the trained one."""
        parameters = dict(module.named_parameters())
        for name, value in zip(self.names, values, strict=True):
            parameters[name].copy_(value.reshape(parameters[name].shape))


def _flat(weight: Tensor) -> Tensor:
    return weight.flatten(1) if weight.dim() > 2 else weight
