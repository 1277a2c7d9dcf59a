"""Samplers on a process whose noise is known in closed form."""

import pytest
import torch
from torch import Tensor

from cnet_core.diffusion.noise_schedule import add_noise, alphas_cumprod
from cnet_core.diffusion.samplers import SAMPLERS, karras_sigmas, last

CLEAN = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)


def knowing(x: Tensor, timesteps: Tensor) -> Tensor:
    """The noise in x if the clean picture is CLEAN; exact for every timestep, fractional ones included."""
    table = alphas_cumprod().double()
    sigmas = ((1 - table) / table).sqrt().log()
    low = timesteps.double().floor().long().clamp(max=998)
    share = timesteps.double() - low
    sigma = (sigmas[low] * (1 - share) + sigmas[low + 1] * share).exp()
    alpha = (1 / (1 + sigma**2)).reshape(-1, 1, 1, 1)
    return ((x.double() - alpha.sqrt() * CLEAN) / (1 - alpha).sqrt()).float()


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 20])
def test_samplers_reach_the_known_picture(name: str, steps: int) -> None:
    noise = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        last(SAMPLERS[name](knowing, noise, steps)), CLEAN, atol=2e-3, rtol=0
    )


def test_schedule_is_stable_diffusions() -> None:
    table = alphas_cumprod()
    assert float(table[0]) == pytest.approx(1 - 0.00085, abs=1e-6)
    assert float(table[-1]) == pytest.approx(0.0047, abs=1e-4)  # SD1.x: sigma_max 14.61
    assert float(((1 - table[-1]) / table[-1]).sqrt()) == pytest.approx(14.6146, abs=1e-3)


def test_karras_sigmas_go_from_high_to_low() -> None:
    sigmas = karras_sigmas(0.03, 14.6, 5)
    assert (float(sigmas[0]), float(sigmas[-1])) == pytest.approx((14.6, 0.03))
    assert bool((sigmas.diff() < 0).all())


def test_noise_is_added_by_row() -> None:
    noisy = add_noise(torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([0, 999]))
    torch.testing.assert_close(noisy[:, 0] ** 2, alphas_cumprod()[[0, 999]])
