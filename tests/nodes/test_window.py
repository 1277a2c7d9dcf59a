"""Time windows are decided on noise levels."""

from collections.abc import Callable
from types import ModuleType

import pytest

Part = Callable[[str], ModuleType]


def percent_to_sigma(percent: float) -> float:
    """Falls from 10 to 0, and ends as ComfyUI's do."""
    if percent <= 0:
        return 999999999.9
    return 0.0 if percent >= 1 else 10 * (1 - percent) ** 2


@pytest.mark.parametrize(
    ("sigma", "start", "end", "inside"),
    [
        (1e6, 0.0, 1.0, True),
        (0.0, 0.0, 1.0, True),
        (percent_to_sigma(0.3), 0.3, 0.6, True),
        (percent_to_sigma(0.6), 0.3, 0.6, True),
        (percent_to_sigma(0.3) + 1e-6, 0.3, 0.6, False),
        (percent_to_sigma(0.6) - 1e-6, 0.3, 0.6, False),
        (percent_to_sigma(0.5), 0.6, 0.3, False),
    ],
    ids=["begin", "end", "on start", "on end", "before", "after", "empty"],
)
def test_both_ends_of_a_window_are_in_it(
    part: Part, sigma: float, start: float, end: float, inside: bool
) -> None:
    found = part("nodes.bridge.window").percent_in_window(sigma, start, end, percent_to_sigma, True)
    assert (found is not None) == inside
    assert found is None or start <= found <= end


@pytest.mark.parametrize("percent", [0.1, 0.25, 0.5, 0.9])
def test_a_noise_level_is_turned_back_into_its_percent(part: Part, percent: float) -> None:
    found = part("nodes.bridge.window").percent_of(percent_to_sigma(percent), percent_to_sigma)
    assert found == pytest.approx(percent, abs=1e-6)
