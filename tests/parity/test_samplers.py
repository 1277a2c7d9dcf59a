"""Our samplers against diffusers' schedulers, on a fixed non-linear stand-in for a UNet."""

import pytest
import torch
from torch import Tensor

from cnet_core.diffusion.samplers import ddim, dpmpp_2m, euler, last

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
NOISE = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def model(x: Tensor, timesteps: Tensor) -> Tensor:
    """Any smooth function of both arguments will do."""
    return torch.tanh(x * (0.5 + timesteps.float().reshape(-1, 1, 1, 1) / 1000)) + 0.1 * x.roll(
        1, -1
    )


@pytest.mark.parametrize("steps", [1, 8, 20])  # of these diffusers steps are evenly spaced
def test_ddim_equals_diffusers(steps: int) -> None:
    scheduler = diffusers.DDIMScheduler(
        **SD, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=True
    )
    scheduler.set_timesteps(steps)
    x = NOISE
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t.expand(1)), t, x).prev_sample
    torch.testing.assert_close(last(ddim(model, NOISE, steps)), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [2, 7, 20])
def test_euler_equals_diffusers(steps: int) -> None:
    scheduler = diffusers.EulerDiscreteScheduler(
        **SD, use_karras_sigmas=True, timestep_spacing="linspace", interpolation_type="linear"
    )
    scheduler.set_timesteps(steps)
    x = (
        NOISE * (1 + scheduler.sigmas[0] ** 2).sqrt()
    )  # pure noise has variance 1 + sigma^2, as in ComfyUI
    for t in scheduler.timesteps:
        x = scheduler.step(model(scheduler.scale_model_input(x, t), t.expand(1)), t, x).prev_sample
    torch.testing.assert_close(last(euler(model, NOISE, steps)), x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [2, 7, 20])
def test_dpmpp_2m_equals_diffusers(steps: int) -> None:
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **SD, use_karras_sigmas=True, final_sigmas_type="zero", lower_order_final=True
    )
    scheduler.set_timesteps(steps)
    x = NOISE  # diffusers keeps latents of variance 1
    for t in scheduler.timesteps:
        x = scheduler.step(at_any_time(x, t), t, x).prev_sample
    torch.testing.assert_close(last(dpmpp_2m(at_any_time, NOISE, steps)), x, rtol=1e-3, atol=1e-3)


def at_any_time(x: Tensor, timesteps: Tensor) -> Tensor:
    """A model that ignores the time: this scheduler rounds timesteps, which only models see."""
    return model(x, torch.tensor(500.0))
