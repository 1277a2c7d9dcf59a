"""The released code's noise predictions, guess mode and DDIM, against its recorded numbers (golden/make_cldm.py)."""

from pathlib import Path

import pytest
import torch
from ramps import CONFIG, fill, inputs
from safetensors import safe_open

import cnet_core as cn

GOLDEN = Path(__file__).parent / "golden" / "cldm.safetensors"
CFG_SCALE, STRENGTH = 9.0, 0.8
#: Mode of the released app -> our profile.
PROFILES = {"guess": "lllyasviel_guess", "plain": "lllyasviel"}


def golden(mode: str) -> dict[str, torch.Tensor]:
    with safe_open(GOLDEN, framework="pt") as file:
        names = [key for key in file.keys() if key.startswith(f"{mode}.")]  # noqa: SIM118
        return {name.removeprefix(f"{mode}."): file.get_tensor(name) for name in names}


@pytest.fixture(params=PROFILES)
def run(request):
    """The recorded run, and a function (x, t) -> our (uncond, cond) noise predictions in one batch."""
    config, given = cn.UNetConfig(**CONFIG), inputs()
    unet, net = fill(cn.UNet(config), "unet"), fill(cn.ControlNet(config), "control")
    unit = cn.profile(PROFILES[request.param]).unit(net, given["hint"], STRENGTH)
    context = torch.cat([given["uncond"], given["cond"]])
    with cn.patch_unet(unet, unit):
        yield (
            golden(request.param),
            lambda x, t: unet(torch.cat([x, x]), t.repeat(2), context).chunk(2),
        )


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def test_every_noise_prediction_is_the_released_codes(run) -> None:
    want, predict = run
    for index in range(len(want["x"])):
        step = slice(index, index + 1)
        uncond, cond = predict(want["x"][step], want["timesteps"][step])
        assert relative(uncond, want["uncond"][step]) <= 1e-5
        assert relative(cond, want["cond"][step]) <= 1e-5


def test_ddim_ends_in_the_released_codes_latents(run) -> None:
    want, predict = run
    x = inputs()["x"]
    levels = zip(want["alphas"].flip(0), want["alphas_prev"].flip(0), strict=True)
    for (alpha, previous), t in zip(levels, want["timesteps"], strict=True):
        uncond, cond = predict(x, t[None])
        eps = uncond + CFG_SCALE * (cond - uncond)
        clean = (x - (1 - alpha).sqrt() * eps) / alpha.sqrt()
        x = previous.sqrt() * clean + (1 - previous).sqrt() * eps
    assert relative(x, want["latents"]) <= 1e-5


def test_the_modes_differ_so_that_the_comparison_means_something() -> None:
    guess, plain = (golden(mode) for mode in ("guess", "plain"))
    assert relative(guess["cond"][0], plain["cond"][0]) > 1e-2
    assert relative(guess["uncond"][0], plain["uncond"][0]) > 1e-2
