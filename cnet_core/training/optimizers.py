"""The optimizers of a run, and what they keep of each parameter as tensors that a checkpoint holds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from .settings import OptimizerName, TrainingSettings

NEEDED = (
    "`optimizer` is 'adamw8bit', which needs bitsandbytes: pip install 'cnet-nodes[train-8bit]'."
)
#: What an optimizer keeps of one parameter, by name.
Moments = dict[str, Tensor]


def make_optimizer(
    parameters: Sequence[nn.Parameter], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Returns the optimizer that the settings name, for these parameters.

    Raises:
        ValueError: its library is missing.
    """
    return _KINDS[settings.optimizer](parameters, settings)


def read_moments(optimizer: torch.optim.Optimizer) -> Iterator[tuple[int, Moments]]:
    """Yields what is kept of each parameter by its index; of one that had no gradient yet there is nothing."""
    parameters: list[nn.Parameter] = optimizer.param_groups[0]["params"]
    for index, parameter in enumerate(parameters):
        kept: Mapping[str, Tensor | int] = optimizer.state.get(parameter, {})
        if kept:
            yield (
                index,
                {k: v if isinstance(v, Tensor) else torch.tensor(v) for k, v in kept.items()},
            )


def restore_moments_(
    optimizer: torch.optim.Optimizer, moments: Mapping[int, Mapping[str, Tensor]]
) -> None:
    """Puts back what `read_moments` yielded; counters that were plain numbers become numbers again."""
    state = {
        index: {name: _number_or_tensor(value) for name, value in kept.items()}
        for index, kept in moments.items()
    }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _number_or_tensor(value: Tensor) -> Tensor | int:
    is_counter = value.dim() == 0 and value.dtype == torch.int64
    return int(value) if is_counter else value


def _adam(
    kind: Callable[..., torch.optim.Optimizer],
    parameters: Sequence[nn.Parameter],
    settings: TrainingSettings,
) -> torch.optim.Optimizer:
    return kind(
        parameters,
        lr=settings.peak_rate,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
    )


def _plain(parameters: Sequence[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    return _adam(torch.optim.AdamW, parameters, settings)


def _eight_bit(
    parameters: Sequence[nn.Parameter], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Returns AdamW with moments of 8 bits by blocks (Dettmers et al., arXiv 2110.02861)."""
    try:
        kind: Any = import_module("bitsandbytes.optim").AdamW8bit
    except ImportError as error:
        raise ValueError(NEEDED) from error
    return _adam(kind, parameters, settings)


def _adafactor(
    parameters: Sequence[nn.Parameter], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Returns Adafactor, which keeps two sums of squares of a matrix (Shazeer and Stern, arXiv 1804.04235).

    The rate is relative to each weight's size. It keeps no momentum, so the settings refuse betas.
    """
    return torch.optim.Adafactor(
        parameters, lr=settings.peak_rate, weight_decay=settings.weight_decay
    )


_KINDS: Mapping[
    OptimizerName, Callable[[Sequence[nn.Parameter], TrainingSettings], torch.optim.Optimizer]
] = {
    "adamw": _plain,
    "adamw8bit": _eight_bit,
    "adafactor": _adafactor,
}
