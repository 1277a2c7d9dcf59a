"""Stable Diffusion's noise schedule: 1000 timesteps, betas linear in their square roots from 0.00085 to 0.012."""

import torch
from torch import Tensor

TIMESTEPS = 1000


def alphas_cumprod() -> Tensor:
    """Returns the fraction of signal variance at each timestep: (1000,), float32 from a float64 product."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0).float()


def add_noise(latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """Returns sqrt(a) * latents + sqrt(1 - a) * noise, with a = alphas_cumprod[timesteps], one per row."""
    alpha = (
        alphas_cumprod()
        .to(latents.device)[timesteps]
        .reshape(-1, *[1] * (latents.dim() - 1))
        .to(latents.dtype)
    )
    return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
