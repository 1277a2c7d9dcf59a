"""Optimizers that keep less than AdamW: each resumes bit for bit, and 8 bits learn as AdamW does."""

from pathlib import Path

import pytest
import torch
from training_models import NoiseSamples, trainer, weights

from cnet_core.training import TrainingSettings
from cnet_core.training.folder import RunFolder
from cnet_core.training.optimizers import read_moments

EIGHT_BIT = {"optimizer": "adamw8bit", "batch_size": 2}


@pytest.mark.parametrize("optimizer", ["adamw8bit", "adafactor"])
def test_a_resumed_run_is_the_same_bit_for_bit(tmp_path: Path, optimizer: str) -> None:
    if optimizer == "adamw8bit":
        pytest.importorskip("bitsandbytes")
    whole, first, second = (trainer(optimizer=optimizer, batch_size=2) for _ in range(3))
    for _ in range(4):
        whole.advance()
    for _ in range(2):
        first.advance()
    folder = RunFolder(tmp_path)
    folder.begin({})
    folder.save(first.state(), first.result)
    state = folder.state()
    assert state is not None
    second.restore(state)
    for _ in range(2):
        second.advance()
    expected = weights(whole.net)
    assert all(torch.equal(value, expected[name]) for name, value in weights(second.net).items())


def test_adafactor_moves_zero_convs_by_a_thousandth_of_the_rate_and_keeps_less() -> None:
    """Its rate is relative to a weight's size, which counts as at least 1e-3 (arXiv 1804.04235, section 8)."""
    run = trainer(optimizer="adafactor", learning_rate=1e-2, batch_size=2)
    run.advance()
    moved = weights(run.net)["zero_convs.3.0.weight"].square().mean().sqrt()
    assert 0.3e-5 < float(moved) < 1.01e-5
    assert _bytes(run._optimizer) < 0.8 * 4 * sum(p.numel() for p in run.net.parameters())


def test_it_goes_the_way_of_adamw_with_a_quarter_of_the_bytes() -> None:
    pytest.importorskip("bitsandbytes")
    plain, eight = (trainer(optimizer=name, batch_size=2) for name in ("adamw", "adamw8bit"))
    for run in (plain, eight):
        for _ in range(3):
            run.advance()
    start = weights(trainer().net)
    moved, other = (
        torch.cat([(value - start[name]).flatten() for name, value in weights(run.net).items()])
        for run in (plain, eight)
    )
    assert float(torch.cosine_similarity(moved, other, dim=0)) > 0.98
    sizes = [_bytes(run._optimizer) for run in (plain, eight)]
    assert sizes[1] < 0.3 * sizes[0]


def test_adafactor_has_its_own_default_rate() -> None:
    assert TrainingSettings(optimizer="adafactor").rate(1000) == 1e-3
    assert TrainingSettings(optimizer="adafactor", learning_rate=1e-2).rate(1000) == 1e-2
    assert TrainingSettings(optimizer="adamw8bit").rate(1000) == 1e-5
    assert TrainingSettings(optimizer="adafactor").to_dict()["learning_rate"] == 1e-3


@pytest.mark.parametrize("name", ["beta1", "beta2"])
def test_adafactor_refuses_betas(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` is 0.5, but the `optimizer` 'adafactor'"):
        TrainingSettings(optimizer="adafactor", **{name: 0.5})


def _bytes(optimizer: torch.optim.Optimizer) -> int:
    """Returns the memory of the moments; tables that all parameters share count once."""
    tensors = [t for _, kept in read_moments(optimizer) for t in kept.values()]
    return sum({t.data_ptr(): t.nbytes for t in tensors}.values())


def test_a_missing_bitsandbytes_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from cnet_core.training import optimizers

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(optimizers, "import_module", missing)
    with pytest.raises(
        ValueError, match=r"needs bitsandbytes: pip install 'cnet-nodes\[train-8bit\]'"
    ):
        trainer(NoiseSamples(), **EIGHT_BIT)
