"""Samplers, deterministic: DDIM on even timesteps, Euler and DPM++ 2M on Karras' sigmas, a few lines each."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from .noise_schedule import alphas_cumprod

#: (noisy latents as the UNet expects them, timesteps (B,)) -> predicted noise.
PredictNoise = Callable[[Tensor, Tensor], Tensor]


def ddim(
    predict: PredictNoise, noise: Tensor, steps: int, alphas: Tensor | None = None
) -> Iterator[Tensor]:
    """Yields the latents after each of `steps` DDIM steps with eta 0 (Song et al., arXiv 2010.02502, eq. 12).

    Timesteps are spaced evenly from the last one down ("trailing"), so that the first step starts from pure noise.
    `alphas` is the fraction of signal by timestep, above 0; None is Stable Diffusion's.
    """
    alphas = alphas_cumprod() if alphas is None else alphas
    count = len(alphas)
    times = [round(count - i * count / steps) - 1 for i in range(steps)]
    x = noise
    for now, after in zip(times, [*times[1:], None], strict=True):
        alpha = float(alphas[now])
        previous = 1.0 if after is None else float(alphas[after])
        eps = predict(x, x.new_full((len(x),), now))
        clean = (x - (1 - alpha) ** 0.5 * eps) / alpha**0.5
        x = previous**0.5 * clean + (1 - previous) ** 0.5 * eps
        yield x


def euler(predict: PredictNoise, noise: Tensor, steps: int) -> Iterator[Tensor]:
    """Yields the latents after each of `steps` Euler steps on Karras' sigmas (arXiv 2206.00364, algorithm 2, eq. 5)."""
    noise_of, sigmas = _on_sigmas(predict, steps)
    x = noise * (1 + sigmas[0] ** 2) ** 0.5
    for sigma, after in pairwise(sigmas):
        x = x + (after - sigma) * noise_of(x, sigma)
        yield x


def dpmpp_2m(predict: PredictNoise, noise: Tensor, steps: int) -> Iterator[Tensor]:
    """Yields the latents after each of `steps` steps of DPM-Solver++ (2M) on Karras' sigmas.

    arXiv 2211.01095, algorithm 2, with sigma for sigma/alpha, so that alpha is 1 and lambda is -log(sigma). The first
    step and the last, to sigma 0, are of first order.
    """
    noise_of, sigmas = _on_sigmas(predict, steps)
    x = noise * (1 + sigmas[0] ** 2) ** 0.5
    earlier: tuple[float, Tensor] | None = None  # sigma and predicted picture of the step before
    for sigma, after in pairwise(sigmas):
        clean = target = x - sigma * noise_of(x, sigma)
        if earlier is not None and after > 0:
            ratio = math.log(earlier[0] / sigma) / math.log(sigma / after)
            target = clean + (clean - earlier[1]) / (2 * ratio)
        x = target + (after / sigma) * (x - target)
        earlier = sigma, clean
        yield x


def karras_sigmas(low: float, high: float, steps: int, rho: float = 7.0) -> Tensor:
    """Returns `steps` noise levels from `high` down to `low`, dense near `low`."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def last(steps: Iterator[Tensor]) -> Tensor:
    """Runs a sampler to its end and returns the final latents."""
    latents = next(steps)
    for latents in steps:  # noqa: B007
        pass
    return latents


#: Name -> sampler.
SAMPLERS: dict[str, Callable[[PredictNoise, Tensor, int], Iterator[Tensor]]] = {
    "ddim": ddim,
    "euler": euler,
    "dpmpp_2m": dpmpp_2m,
}


def _on_sigmas(
    predict: PredictNoise, steps: int
) -> tuple[Callable[[Tensor, float], Tensor], list[float]]:
    """Returns the noise in latents whose noise has the standard deviation sigma, and the sigmas of a run, 0 last."""
    alphas = alphas_cumprod().double()
    table = ((1 - alphas) / alphas).sqrt()
    sigmas = cast(list[float], karras_sigmas(float(table[0]), float(table[-1]), steps).tolist())

    def noise_of(x: Tensor, sigma: float) -> Tensor:
        timestep = _interpolate_timestep(sigma, table)
        return predict(x / (1 + sigma**2) ** 0.5, x.new_full((len(x),), timestep))

    return noise_of, [*sigmas, 0.0]


def _interpolate_timestep(sigma: float, table: Tensor) -> float:
    """Returns the fractional timestep whose sigma this is, linear in log(sigma)."""
    logs = table.log()
    value = torch.tensor(sigma, dtype=torch.float64).log()
    upper = int(torch.searchsorted(logs, value).clamp(1, len(logs) - 1))
    share = (value - logs[upper - 1]) / (logs[upper] - logs[upper - 1])
    return float(upper - 1 + share.clamp(0, 1))
