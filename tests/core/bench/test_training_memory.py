"""What a training step holds: counted without data as with it, and each setting saves what it should."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from fakes import SMALL

from cnet_core.bench import training_memory
from cnet_core.bench.settings import BenchSettings
from cnet_core.bench.training_memory import (
    WAYS,
    Held,
    _size_adafactor,
    count_step,
    measure_step,
    section,
)
from cnet_core.training.settings import TrainingSettings

NARROW = replace(SMALL, channel_mult=(1, 1), num_res_blocks=1, transformer_depth=(1, 0))
PLAIN = TrainingSettings()
SIDE, BATCH = 128, 2


@cache
def count(settings: TrainingSettings) -> Held:
    return count_step(settings, NARROW, SIDE, BATCH)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_that_is_taken_holds_what_is_counted(checkpointing: bool) -> None:
    settings = replace(PLAIN, gradient_checkpointing=checkpointing)
    counted, measured = count(settings), measure_step(settings, NARROW, SIDE, BATCH)
    assert counted.peak == pytest.approx(measured.peak, rel=0.02)
    assert replace(counted, peak=0) == replace(measured, peak=0)


def test_each_setting_saves_what_it_is_for() -> None:
    held = {name: count(way) for name, way in WAYS.items()}
    plain, half, checkpointed, eight_bit, factored, low_rank = held.values()
    assert half.locked == plain.locked / 2
    assert half.trained == half.gradients == plain.trained
    assert plain.moments == pytest.approx(2 * plain.trained, rel=1e-3)
    assert checkpointed.peak < half.peak
    assert eight_bit.moments < 0.3 * checkpointed.moments
    assert eight_bit.peak < checkpointed.peak - 0.7 * checkpointed.moments
    assert factored.moments < checkpointed.moments / 2
    assert low_rank.locked == half.locked
    assert low_rank.moments == pytest.approx(2 * low_rank.trained, rel=1e-2)
    assert low_rank.trained < half.trained  # at this width its rank is nearly that of the layers
    assert low_rank.peak < half.peak


def test_adafactors_moments_are_counted_as_they_are() -> None:
    """On the CPU it can run, so its own state is compared with the sizes."""
    parameters = [torch.nn.Parameter(torch.ones(shape)) for shape in ((6, 4, 3, 3), (5, 7), (9,))]
    optimizer = torch.optim.Adafactor(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    kept = [v for s in optimizer.state.values() for name, v in s.items() if name != "step"]
    sizes = [size for parameter in parameters for size in _size_adafactor(parameter)]
    assert [tuple(size.shape) for size in sizes] == [tuple(value.shape) for value in kept]


def test_the_section_shows_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_memory, "WAYS", {"plain": PLAIN})
    monkeypatch.setattr(BenchSettings, "config", NARROW)
    done: list[tuple[int, int]] = []
    table = section(BenchSettings(side=SIDE, pictures=BATCH), lambda n, of: done.append((n, of)))
    held = count(PLAIN)
    bytes = (held.peak, held.locked, held.trained, held.gradients, held.moments, held.rest)
    assert table.rows == {"plain": tuple(n / 2**30 for n in bytes)}
    assert done == [(1, 1)]
