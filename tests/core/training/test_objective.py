"""The objective's identities, and its weights against numbers worked out by hand."""

import pytest
import torch

from cnet_core.training import Objective
from cnet_core.training.objective import parse_prediction

TIMESTEPS = torch.tensor([0, 499, 999])


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(3, 4, 2, 2, generator=generator) for _ in range(2))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_means_the_noise_and_costs_nothing(prediction: str) -> None:
    objective = Objective(prediction)
    latents, noise = draw()
    noisy = objective.add_noise(latents, noise, TIMESTEPS)
    target = objective.target(latents, noise, TIMESTEPS)
    torch.testing.assert_close(objective.noise_of(target, noisy, TIMESTEPS), noise)
    assert not objective.losses(target, target, TIMESTEPS, 5.0).any()


def test_v_and_noisy_latents_are_a_rotation_of_latents_and_noise() -> None:
    latents, noise = draw()
    objective = Objective("v_prediction")
    v, x = (f(latents, noise, TIMESTEPS) for f in (objective.target, objective.add_noise))
    torch.testing.assert_close(v.square() + x.square(), latents.square() + noise.square())


@pytest.mark.parametrize(
    ("prediction", "weights"),
    [("epsilon", [5 / 9, 1.0, 1.0]), ("v_prediction", [0.5, 0.5, 0.1])],
    ids=["min(snr, 5) / snr", "min(snr, 5) / (snr + 1)"],
)
def test_min_snr_weights(prediction: str, weights: list[float]) -> None:
    alphas = torch.tensor([0.9, 0.5, 0.1])  # signal to noise 9, 1, 1/9
    ones = torch.ones(3, 4, 2, 2)
    found = Objective(prediction, alphas).losses(ones, 0 * ones, torch.arange(3), 5.0)
    torch.testing.assert_close(found, torch.tensor(weights))


def test_an_unknown_prediction_is_refused() -> None:
    assert parse_prediction("epsilon") == "epsilon"
    with pytest.raises(ValueError, match="'sample'"):
        parse_prediction("sample")
