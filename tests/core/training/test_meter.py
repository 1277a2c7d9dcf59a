"""The convergence meter: on the embedded nets, and on readings whose loss is flat."""

import json

import pytest
import torch
from training_models import NoiseSamples, source, trainer

import cnet_core as cn
from cnet_core.tiny.training import TinyBase, TinySamples
from cnet_core.training import ConvergenceMeter, Reading, TrainingSettings, convergence_step
from cnet_core.training.source import TrainingSource


def reading(step: int, gap: float, error: float = 1e-5, loss: float = 0.1) -> Reading:
    return Reading(step, loss, loss * (1 + gap), error, 0.1, (0.0,) * 13)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([0.0, 1e-4, 0.001, 0.01], None),
        ([0.0, 0.001, 0.05, 0.2, 0.3], 200),
        ([0.0, 0.05, 0.001, 0.2, 0.3], 300),
        ([0.0, 0.0, 0.0, 0.2], None),
    ],
    ids=["never", "sudden", "an accident before", "one reading is not enough"],
)
def test_the_step_is_named_although_the_loss_is_flat(
    gaps: list[float], expected: int | None
) -> None:
    readings = [reading(100 * i, gap) for i, gap in enumerate(gaps)]
    assert convergence_step(readings) == expected


def test_a_reading_of_an_older_version_has_no_loss_without_control() -> None:
    values = {
        k: v for k, v in reading(50, 0.1).to_dict().items() if k not in ("plain_loss", "gain")
    }
    assert Reading.from_dict(values) == reading(50, 0.1)
    assert Reading.from_dict(values).gain is None


def test_a_gap_within_its_error_is_none() -> None:
    noisy = [reading(step, 0.2, error=0.01) for step in (0, 50, 100)]
    assert convergence_step(noisy) is None


def test_a_reading_survives_json() -> None:
    one = reading(50, 0.1)
    assert Reading.from_dict(one.to_dict()) == one


def test_the_embedded_net_follows_and_a_fresh_one_does_nothing() -> None:
    from cnet_core.tiny import TinyStableDiffusion

    base = TinyBase.load()
    held_out = TinySamples(base.autoencoder, 64, 16, "held out")
    place = TrainingSource(base, held_out, held_out, lambda net: (torch.zeros(3, 8, 8), {}))
    meter = place.meter(TrainingSettings())
    assert isinstance(meter, ConvergenceMeter)
    trained = meter.read(TinyStableDiffusion.load().control_net, 0)
    assert trained.follows
    assert trained.gain > 0.05
    fresh = meter.read(cn.ControlNet.from_unet(base.unet), 0)
    assert (fresh.effect, fresh.gap, fresh.follows) == (0.0, 0.0, False)
    assert (fresh.gain, fresh.plain_loss) == (0.0, fresh.loss)
    assert fresh.plain_loss == trained.plain_loss
    assert fresh.zero_convs == (0.0,) * 13


def test_a_net_that_ignores_its_hint_has_an_effect_but_no_gap() -> None:
    run = trainer()
    with torch.no_grad():
        for conv in run.net.zero_convs:
            conv[0].bias.fill_(0.3)
    found = source().meter(run.settings).read(run.net, 1)
    assert found.effect > 0
    assert (found.gap, found.follows) == (0.0, False)


def test_one_sample_has_no_wrong_hint_to_compare_with() -> None:
    run, place = trainer(), source()
    alone = NoiseSamples(((64, 64),))
    meter = TrainingSource(place.base, alone, alone, place.preview).meter(run.settings)
    found = meter.read(run.net, 0)
    assert not meter.compares
    assert source().meter(run.settings).compares
    json.dumps(found.to_dict(), allow_nan=False)
    assert (found.gap, found.follows) == (0.0, False)
