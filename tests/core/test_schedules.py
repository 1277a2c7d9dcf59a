"""Every profile's numbers, against numbers of their sources."""

import math

import pytest

import cnet_core as cn
from cnet_core.schedules import format_scales, parse_scales

SD15_SIDES = cn.SD15.block_sizes(64, 64)
SDXL_SIDES = cn.SDXL.block_sizes(128, 128)

# diffusers: torch.logspace(-1, 0, 13) and (-1, 0, 10), to four digits.
LOGSPACE_13 = [
    0.1,
    0.1212,
    0.1468,
    0.1778,
    0.2154,
    0.261,
    0.3162,
    0.3831,
    0.4642,
    0.5623,
    0.6813,
    0.8254,
    1,
]
LOGSPACE_10 = [0.1, 0.1292, 0.1668, 0.2154, 0.2783, 0.3594, 0.4642, 0.5995, 0.7743, 1]
# lllyasviel/ControlNet, guess mode: [strength * (0.825 ** float(12 - i)) for i in range(13)], to four digits.
SOFT_13 = [
    0.0994,
    0.1205,
    0.1461,
    0.177,
    0.2146,
    0.2601,
    0.3153,
    0.3822,
    0.4632,
    0.5615,
    0.6806,
    0.825,
    1,
]

PROFILES = {
    "uniform": (cn.BlockScales.uniform(), SD15_SIDES, [1] * 13),
    "soft": (cn.BlockScales.soft(), SD15_SIDES, SOFT_13),
    "soft SDXL": (cn.BlockScales.soft(), SDXL_SIDES, SOFT_13[3:]),
    "soft 0.5": (cn.BlockScales.soft(0.5), SDXL_SIDES, [2.0**-k for k in range(9, -1, -1)]),
    "logspace": (cn.BlockScales.logspace(), SD15_SIDES, LOGSPACE_13),
    "logspace SDXL": (cn.BlockScales.logspace(), SDXL_SIDES, LOGSPACE_10),
    "webui": (cn.BlockScales.webui(), SD15_SIDES, SOFT_13),
    "webui SDXL": (cn.BlockScales.webui(), SDXL_SIDES, SOFT_13[:10]),
    "resolution raw": (
        cn.BlockScales.resolution(normalised=False),
        SD15_SIDES,
        [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8],
    ),
    "resolution": (
        cn.BlockScales.resolution(),
        SD15_SIDES,
        [0.125] * 3 + [0.25] * 3 + [0.5] * 3 + [1] * 4,
    ),
    "resolution at 256 px": (
        cn.BlockScales.resolution(normalised=False, reference=64),
        cn.SD15.block_sizes(32, 32),
        [2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 16],
    ),
    "custom": (cn.BlockScales.custom(range(13)), SD15_SIDES, list(range(13))),
}


@pytest.mark.parametrize("name", PROFILES)
def test_profile_numbers(name: str) -> None:
    scales, sides, expected = PROFILES[name]
    assert scales.values(sides) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "total"), [("webui SDXL", 2.74), ("soft SDXL", 4.88), ("logspace SDXL", 4.09)]
)
def test_sums_for_sdxl_differ_between_tools(name: str, total: float) -> None:
    scales, sides, _ = PROFILES[name]
    assert sum(scales.values(sides)) == pytest.approx(total, abs=0.01)


def test_resolution_uses_each_blocks_true_side() -> None:
    values = cn.BlockScales.resolution(normalised=False).values(cn.SD15.block_sizes(33, 50))
    assert values[-1] == pytest.approx(math.sqrt(33 * 50) / math.sqrt(5 * 7))


def test_time_curve_is_linear_between_points_and_flat_beyond() -> None:
    scales = cn.BlockScales.uniform().over_time([(0.2, 1.0), (0.6, 0.5)])
    assert [scales.at(p) for p in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx(
        [1, 1, 0.75, 0.5, 0.5]
    )
    assert cn.BlockScales.uniform().at(0.3) == 1.0


def test_text_form_goes_both_ways() -> None:
    assert parse_scales("0.1, 1,\n0.25,") == (0.1, 1.0, 0.25)
    assert parse_scales("") == ()
    assert format_scales((0.1, 1.0, 0.123456)) == "0.1, 1, 0.1235"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cn.BlockScales("gentle"), "must be one of uniform, soft"),
        (lambda: cn.BlockScales.custom([]), "needs its scales"),
        (lambda: cn.BlockScales.custom([1, math.nan]), "not a finite number"),
        (lambda: cn.BlockScales.soft(0), "above 0"),
        (lambda: cn.BlockScales.soft(math.nan), "above 0"),
        (
            lambda: cn.BlockScales.custom([1] * 12).values(SD15_SIDES),
            "12 values, but this ControlNet has 13",
        ),
        (lambda: cn.BlockScales.uniform().over_time([(0.5, 1), (0.5, 2)]), "must rise"),
        (lambda: cn.BlockScales.uniform().over_time([(0, 1), (1.5, 2)]), r"lie in 0\.\.1"),
        (lambda: parse_scales("1, two"), "numbers separated by commas"),
        (lambda: parse_scales("1, inf"), "numbers separated by commas"),
    ],
)
def test_bad_scales_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
