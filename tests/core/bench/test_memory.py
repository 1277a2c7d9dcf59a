"""The memory that control needs: what must be kept, and little more."""

from dataclasses import replace
from functools import cache

import pytest

from cnet_core.bench.memory import peak, sizes
from cnet_core.bench.settings import BenchSettings
from cnet_core.control.routing import HintRouting
from cnet_core.nets.config import UNetConfig


class Shallow(BenchSettings):
    """SDXL with one transformer layer instead of up to ten: the layers keep nothing between them."""

    @property
    def config(self) -> UNetConfig:
        return replace(super().config, transformer_depth=(0, 1, 1), middle_depth=1)


#: A fifth of the published width, where what is kept is in proportion as at full width.
SETTINGS = {
    "SD1.5, 512 px": BenchSettings(width=0.2, side=512),
    "SD1.5, 256 px": BenchSettings(width=0.2, side=256),
    "SDXL, 512 px": Shallow(family="sdxl", width=0.2, side=512),
}
ROUTINGS = {
    "both": HintRouting.both(),
    "cond only": HintRouting.cond_only(),
    "weighted": HintRouting.weighted(1.0, 0.5),
}


def test_sizes_are_those_of_sd15() -> None:
    """At full width and 512 px: 361 M weights; 320 channels at 64 x 64 three times, and so on down to 8 x 8."""
    size = sizes(BenchSettings())
    by_level = (
        3 * 320 * 64**2 + (320 + 2 * 640) * 32**2 + (640 + 2 * 1280) * 16**2 + 4 * 1280 * 8**2
    )
    assert size.residuals == 2 * 4 * by_level
    assert size.features == 4 * 320 * 64**2
    assert size.weights // 4 == 361_279_120


@cache
def alone(shape: str) -> int:
    """The peak of the UNet alone."""
    return peak(SETTINGS[shape], 0, HintRouting.both())


@pytest.mark.parametrize(
    ("shape", "routing"),
    [
        *(("SD1.5, 512 px", r) for r in ROUTINGS),
        ("SD1.5, 256 px", "both"),
        ("SDXL, 512 px", "both"),
    ],
)
def test_one_unit_takes_little_more_than_its_features_and_residuals(
    shape: str, routing: str
) -> None:
    settings = SETTINGS[shape]
    size = sizes(settings)
    extra = peak(settings, 1, ROUTINGS[routing]) - alone(shape)
    assert 0 < extra - size.weights <= size.features + size.residuals
