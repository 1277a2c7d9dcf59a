"""Where our wrappers stand among those of other packs."""

from collections.abc import Callable
from types import ModuleType

import pytest

Part = Callable[[str], ModuleType]


@pytest.mark.parametrize("first", [True, False], ids=["outermost", "innermost"])
def test_ours_is_put_once_at_its_end_of_the_list(part: Part, first: bool) -> None:
    given = {"wrappers": {"unet": {"theirs": ["a"]}, "sample": {"theirs": ["b"]}}, "other": 1}
    put = part("nodes.comfyui.wrappers").with_wrappers
    found = put(put(given, {"unet": "earlier"}, first), {"unet": "ours"}, first)
    order = [wrapper for wrappers in found["wrappers"]["unet"].values() for wrapper in wrappers]
    assert order == (["ours", "a"] if first else ["a", "ours"])
    assert found["wrappers"]["sample"] == given["wrappers"]["sample"]
    assert given["wrappers"]["unet"] == {"theirs": ["a"]}


def test_wrappers_are_put_where_there_are_none(part: Part) -> None:
    found = part("nodes.comfyui.wrappers").with_wrappers({}, {"unet": "ours"}, True)
    assert list(found["wrappers"]["unet"].values()) == [["ours"]]
