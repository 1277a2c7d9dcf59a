"""The cost of a training step: what is counted is there, and every way trains what it says."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from fakes import SMALL

from cnet_core.bench import training_step as training
from cnet_core.bench.live_bytes import LiveBytes
from cnet_core.bench.training_step import Cost, TrainingStep, cost

NARROW = replace(SMALL, channel_mult=(1, 1), num_res_blocks=1, transformer_depth=(1, 0))


@cache
def narrow_cost(way: str) -> Cost:
    return cost(way, NARROW, side=64)


def test_the_peak_is_that_of_the_living_tensors() -> None:
    weight = torch.nn.Parameter(torch.zeros(10))
    with LiveBytes([weight]) as memory:
        first = torch.zeros(1000)
        view = first[:10].reshape(2, 5)  # shares its memory
        del first
        second = torch.zeros(500)
        del view
        third = torch.zeros(100)
    assert memory.peak == 4 * (10 + 1000 + 500)
    assert len(second) > len(third)


def test_operations_are_those_of_a_matrix_product_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.Linear(3, 5, bias=False)
    monkeypatch.setattr(TrainingStep, "loss", lambda self: layer(torch.ones(7, 3)).sum())
    monkeypatch.setattr(TrainingStep, "take", lambda self: None)
    assert cost(training.OURS, NARROW).flops == 2 * (2 * 7 * 3 * 5)


def test_a_careful_trainer_saves_the_decoders_gradients_and_more() -> None:
    released, ours = (narrow_cost(way) for way in (training.RELEASED, training.OURS))
    unet = TrainingStep(training.OURS, NARROW, 64, 1, "meta").unet
    decoder = [*unet.output_blocks.parameters(), *unet.out.parameters()]
    assert released.peak_bytes - ours.peak_bytes >= 4 * sum(p.numel() for p in decoder)
    first = unet.output_blocks[0][0].in_layers[2].weight  # one 3x3 convolution at a side of 4
    assert released.flops - ours.flops > 2 * first.numel() * 4 * 4


@pytest.mark.parametrize("way", training.WAYS)
def test_each_way_computes_the_gradients_it_says_and_moves_only_what_it_trains(way: str) -> None:
    step = TrainingStep(way, NARROW, 64, 1, "cpu")
    before = [p.detach().clone() for p in step.unet.parameters()]
    step.take()
    unet = step.unet
    moved = any(not torch.equal(p, b) for p, b in zip(unet.parameters(), before, strict=True))
    assert moved == (way == training.FINE_TUNE)
    encoder, decoder = unet.input_blocks[1], unet.output_blocks
    got = [any(p.grad is not None for p in m.parameters()) for m in (encoder, decoder)]
    none = {training.OURS: [False] * 2, training.MIDDLE_ONLY: [False] * 2}
    assert got == {training.RELEASED: [False, True], **none}.get(way, [True] * 2)
    assert step.net is None or all(p.grad is not None for p in step.net.middle_block.parameters())


def test_diffusers_step_trains_its_controlnet_alone_and_costs_what_ours_does() -> None:
    pytest.importorskip("diffusers")
    step = TrainingStep(training.DIFFUSERS, NARROW, 64, 1, "cpu")
    step.take()
    assert all(p.grad is None for p in step.unet.parameters())
    assert all(p.grad is not None for p in step.net.mid_block.parameters())
    theirs, ours = (narrow_cost(way) for way in (training.DIFFUSERS, training.OURS))
    assert 0.9 < theirs.flops / ours.flops < 1.1
    assert 0.8 < theirs.peak_bytes / ours.peak_bytes < 1.2
