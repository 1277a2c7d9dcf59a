"""Profiles: the numbers of the tools' own code, typed out of it."""

from pathlib import Path

import pytest
import torch
from fake_hosts import FakeDiffusersUNet, KnownNet, known_call

import cnet_core as cn

SD, XL = cn.SD15.block_sizes(64, 64), cn.SDXL.block_sizes(128, 128)

#: sd_forge_controlnet/scripts/controlnet.py, soft_weighting["output"], and its two "middle" values.
FORGE_OUTPUT = [
    0.09941396206337118, 0.12050177219802567, 0.14606275417942507, 0.17704576264172736,
    0.214600924414215, 0.26012233262329093, 0.3152997971191405, 0.3821815722656249,
    0.4632503906249999, 0.561515625, 0.6806249999999999, 0.825,
]  # fmt: skip
FORGE_SD = [*FORGE_OUTPUT, 1.0]
FORGE_XL = [*FORGE_OUTPUT[:9], 0.561515625]
#: numpy's logspace(-1, 0, 13) and (-1, 0, 10), to six digits.
LOGSPACE_SD = [
    0.1, 0.121153, 0.146780, 0.177828, 0.215443, 0.261016, 0.316228, 0.383119,
    0.464159, 0.562341, 0.681292, 0.825404, 1.0,
]  # fmt: skip
LOGSPACE_XL = [
    0.1,
    0.129155,
    0.166810,
    0.215443,
    0.278256,
    0.359381,
    0.464159,
    0.599484,
    0.774264,
    1,
]
#: Advanced-ControlNet: 0.825 to the power of the distance from the middle, whatever the number of blocks.
SOFT_XL = [*FORGE_OUTPUT[3:], 1.0]

TABLE = {  # name: (cond and uncond gain, SD1.5's scales, SDXL's, window)
    "lllyasviel": ((1, 1), [1] * 13, [1] * 10, "training"),
    "lllyasviel_guess": ((1, 0), FORGE_SD, SOFT_XL, "training"),
    "diffusers": ((1, 1), [1] * 13, [1] * 10, "diffusers"),
    "diffusers_guess": ((1, 0), LOGSPACE_SD, LOGSPACE_XL, "diffusers"),
    "webui": ((1, 1), [1] * 13, [1] * 10, "webui"),
    "webui_prompt": ((1, 1), FORGE_SD, FORGE_XL, "webui"),
    "webui_control": ((1, 0), FORGE_SD, FORGE_XL, "webui"),
    "forge": ((1, 1), [1] * 13, [1] * 10, "training"),
    "forge_prompt": ((1, 1), FORGE_SD, FORGE_XL, "training"),
    "forge_control": ((1, 0), FORGE_SD, FORGE_XL, "training"),
    "comfyui": ((1, 1), [1] * 13, [1] * 10, "training"),
    "acn_soft": ((1, 1), FORGE_SD, SOFT_XL, "training"),
    "invoke": ((1, 1), [1] * 13, [1] * 10, "invoke"),
    "invoke_more_prompt": ((1, 1), LOGSPACE_SD, LOGSPACE_XL, "invoke"),
    "invoke_more_control": ((1, 0), LOGSPACE_SD, LOGSPACE_XL, "invoke"),
    "invoke_unbalanced": ((1, 0), [1] * 13, [1] * 10, "invoke"),
    "paper": (
        (1, 0),
        [1] * 3 + [2] * 3 + [4] * 3 + [8] * 4,
        [1] * 3 + [2] * 3 + [4] * 4,
        "training",
    ),
    "paper_normalised": (
        (1, 0),
        [1 / 8] * 3 + [1 / 4] * 3 + [1 / 2] * 3 + [1] * 4,
        [1 / 4] * 3 + [1 / 2] * 3 + [1] * 4,
        "training",
    ),
}


@pytest.mark.parametrize("name", cn.PROFILE_NAMES)
def test_a_profile_has_the_numbers_of_its_source(name: str) -> None:
    gains, sd, xl, window = TABLE[name]
    found = cn.profile(name)
    assert found.routing.gains(["cond", "uncond"]) == gains
    assert found.scales.values(SD) == pytest.approx(sd, abs=1e-6)
    assert found.scales.values(XL) == pytest.approx(xl, abs=1e-6)
    assert found.window.rule == window


def test_sdxl_sums_differ_between_tools_by_a_factor_of_1_8() -> None:
    sums = {n: sum(cn.profile(n).scales.values(XL)) for n in ("webui_control", "acn_soft")}
    assert sums["acn_soft"] / sums["webui_control"] == pytest.approx(1.78, abs=0.01)


def test_the_documentation_has_every_profile() -> None:
    page = (Path(__file__).parents[3] / "docs" / "profiles.md").read_text()
    assert [name for name in cn.PROFILE_NAMES if f"| `{name}` |" not in page] == []


def test_an_unknown_profile_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ValueError, match="'guess'; it must be one of lllyasviel, lllyasviel_guess"):
        cn.profile("guess")


#: With a pooled net: diffusers goes to guess mode with uniform scales, webui to cond only, InvokeAI to uniform scales.
POOLED = {
    "diffusers": ((1, 0), [1] * 13),
    "diffusers_guess": ((1, 0), [1] * 13),
    "webui_prompt": ((1, 0), FORGE_SD),
    "forge_prompt": ((1, 1), FORGE_SD),
    "invoke_more_prompt": ((1, 1), [1] * 13),
}


@pytest.mark.parametrize("name", POOLED)
def test_pooled_nets_are_treated_as_the_tool_does(name: str) -> None:
    unit = cn.profile(name).unit(KnownNet(13, pooled=True), torch.ones(1, 3, 64, 64))
    gains, scales = POOLED[name]
    assert unit.routing.gains(["cond", "uncond"]) == gains
    assert unit.scales.values(SD) == pytest.approx(scales, abs=1e-6)


def test_a_unit_of_a_profile_does_what_the_profile_says() -> None:
    unit = cn.profile("invoke_more_control").unit(
        KnownNet(), torch.ones(1, 3, 64, 64), 2.0, start_percent=0.5
    )
    unet = FakeDiffusersUNet()
    with cn.patch_unet(unet, unit) as attachment:
        attachment.step = (4, 10)
        assert unet(*known_call()).abs().sum() == 0
        attachment.step = (5, 10)
        at_middle = unet(*known_call())[-1].mean((1, 2, 3)).tolist()
    assert at_middle == pytest.approx([0, 8])  # no uncond; the middle's 4 x strength 2
