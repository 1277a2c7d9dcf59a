"""Decaying rates against diffusers' own schedulers, which its training scripts use."""

import pytest
import torch
from diffusers.optimization import get_scheduler

from cnet_core.training import TrainingSettings


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("name", ["constant", "cosine", "linear"])
def test_rates_after_the_warm_up_are_those_of_diffusers(name: str, warmup: int) -> None:
    """Ours rises to the whole rate in the warm-up's last step; theirs begins at 0 and gets there one step later."""
    steps, rate = 40, 1e-3
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    kind = "constant_with_warmup" if name == "constant" else name
    theirs = get_scheduler(
        kind, optimizer, num_warmup_steps=warmup, num_training_steps=steps
    ).lr_lambdas[0]
    decay = None if name == "constant" else steps
    ours = TrainingSettings(learning_rate=rate, warmup=warmup, schedule=name, decay_steps=decay)
    after = range(warmup + 1, steps + 1)
    assert [ours.rate(n) for n in after] == pytest.approx([rate * theirs(n - 1) for n in after])
    rising = range(1, warmup + 1)
    assert [ours.rate(n) for n in rising] == pytest.approx([rate * n / warmup for n in rising])
    assert ours.rate(steps) > 0
    assert ours.rate(steps + 1) == (rate if name == "constant" else 0)
