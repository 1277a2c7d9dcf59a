"""Every profile's numbers, against numbers of their sources."""

import json
import math
from pathlib import Path

import pytest

import cnet_core as cn
from cnet_core.control.scales import parse_curve, parse_scales

SD15_SIDES = cn.SD15.block_sizes(64, 64)
SDXL_SIDES = cn.SDXL.block_sizes(128, 128)

#: What the front end must say as well; its numbers are typed from the sources that it names.
GOLDEN = json.loads((Path(__file__).parents[2] / "block_scales.json").read_text())
SIDES = {13: SD15_SIDES, 10: SDXL_SIDES}

PROFILES = {
    "resolution at 256 px": (
        cn.BlockScales.resolution(normalised=False, reference=64),
        cn.SD15.block_sizes(32, 32),
        [2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16, 16, 16],
    ),
    "custom": (cn.BlockScales.custom(range(13)), SD15_SIDES, list(range(13))),
}


def scales_of(profile: str, base: float = 0.825) -> cn.BlockScales:
    """Returns the scales of a name in the front end, where `resolution_raw` is a parameter's value of `resolution`."""
    if profile == "resolution_raw":
        return cn.BlockScales.resolution(normalised=False)
    return cn.BlockScales(profile, base=base)


@pytest.mark.parametrize("case", GOLDEN["profiles"], ids=lambda case: case["profile"])
def test_profiles_have_the_numbers_of_their_sources(case) -> None:
    scales = scales_of(case["profile"], case["base"])
    values = scales.values(SIDES[len(case["values"])])
    assert values == pytest.approx(case["values"], abs=6e-5)


@pytest.mark.parametrize("name", PROFILES)
def test_profile_numbers(name: str) -> None:
    scales, sides, expected = PROFILES[name]
    assert scales.values(sides) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(("name", "total"), [("webui", 2.74), ("soft", 4.88), ("logspace", 4.09)])
def test_sums_for_sdxl_differ_between_tools(name: str, total: float) -> None:
    assert sum(scales_of(name).values(SDXL_SIDES)) == pytest.approx(total, abs=0.01)


def test_resolution_uses_each_blocks_true_side() -> None:
    values = cn.BlockScales.resolution(normalised=False).values(cn.SD15.block_sizes(33, 50))
    assert values[-1] == pytest.approx(math.sqrt(33 * 50) / math.sqrt(5 * 7))


def test_time_curve_is_linear_between_points_and_flat_beyond() -> None:
    scales = cn.BlockScales.uniform().over_time([(0.2, 1.0), (0.6, 0.5)])
    assert [scales.at(p) for p in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx(
        [1, 1, 0.75, 0.5, 0.5]
    )
    assert cn.BlockScales.uniform().at(0.3) == 1.0


@pytest.mark.parametrize("case", GOLDEN["scale_texts"], ids=lambda case: repr(case["text"]))
def test_scales_are_read_from_text(case) -> None:
    if case["numbers"] is None:
        with pytest.raises(ValueError, match="write numbers such as"):
            parse_scales(case["text"])
    else:
        assert list(parse_scales(case["text"])) == case["numbers"]


@pytest.mark.parametrize("case", GOLDEN["curve_texts"], ids=lambda case: repr(case["text"]))
def test_curves_are_read_from_text(case) -> None:
    uniform = cn.BlockScales.uniform()
    if case["points"] is None:
        with pytest.raises(ValueError, match=r"write points|must rise"):
            uniform.over_time(parse_curve(case["text"]))
        return
    scales = uniform.over_time(parse_curve(case["text"]))
    assert [list(point) for point in scales.curve] == case["points"]
    for percent, factor in case.get("at", ()):
        assert scales.at(percent) == pytest.approx(factor, abs=1e-12)


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
        (lambda: parse_scales("1, two"), "write numbers such as"),
        (lambda: parse_scales("1, inf"), "write numbers such as"),
    ],
)
def test_bad_scales_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
