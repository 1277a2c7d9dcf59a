"""Which pictures of the whole batch a UNet call shows."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

Part = Callable[[str], ModuleType]

CORE = SimpleNamespace(index_list=[3, 4], dim=0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (0, 1)),
        ({"context_window": CORE}, (3, 4)),
        ({"context_window": SimpleNamespace(index_list=[3, 4], dim=2)}, (0, 1)),
        ({"context_window": SimpleNamespace(index_list=[5], dim=0, causal_anchor_index=2)}, (2, 5)),
        ({"context_window": SimpleNamespace(index_list=[5], dim=0, causal_anchor_index=-1)}, (5,)),
        ({"ad_params": {"sub_idxs": [4, 1]}}, (4, 1)),
        ({"ad_params": {"sub_idxs": None}}, (0, 1)),
        ({"ad_params": {"sub_idxs": [1]}, "context_window": CORE}, (4,)),
    ],
    ids=[
        "none",
        "core",
        "core in time",
        "picture in front",
        "none in front",
        "AnimateDiff",
        "AnimateDiff without windows",
        "both",
    ],
)
def test_frames_are_those_that_the_window_lists(part: Part, options: dict, expected: tuple) -> None:
    assert part("nodes.comfyui.frames").frames_of(options, 2) == expected
