"""A node's settings become a ControlUnit of the size and number that the run needs."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from specs import spec

Part = Callable[[str], ModuleType]


@pytest.mark.parametrize(
    ("count", "frames", "expected"),
    [
        (1, [0, 1, 2], [0]),
        (3, [0, 1, 2], [0, 1, 2]),
        (2, [0, 1, 2], [0, 1, 0]),
        (4, [2, 3], [2, 3]),
    ],
    ids=["one for all", "one each", "starts again", "a window"],
)
def test_hints_and_masks_go_to_their_frames(
    part: Part, count: int, frames: list, expected: list
) -> None:
    image = torch.arange(count).reshape(-1, 1, 1, 1).expand(-1, 64, 64, 3) / 10
    given = spec(part, image=image, mask=image[..., 0])
    unit = given.unit(given.source.net, 8, 8, frames)
    wanted = torch.tensor(expected) / 10
    torch.testing.assert_close(unit.hint[:, 0, 0, 0], wanted)
    torch.testing.assert_close(unit.mask[:, 0, 0], wanted)


@pytest.mark.parametrize("channels", [1, 3, 4], ids=["grey", "rgb", "rgba"])
def test_any_picture_becomes_a_hint_of_the_nets_channels(part: Part, channels: int) -> None:
    given = spec(part, image=torch.rand(1, 64, 64, channels))
    assert given.unit(given.source.net, 8, 8, [0]).hint.shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": torch.zeros(0, 8, 8, 3)}, "no pixels"),
        ({"image": torch.full((1, 8, 8, 3), float("nan"))}, "NaN"),
        ({"image": torch.zeros(1, 1, 8, 8, 3)}, "must be .pictures, height"),
        ({"image": torch.zeros(1, 8, 8, 2)}, "`image` has 2 channels"),
        ({"mask": torch.zeros(0, 8, 8)}, "`mask` has the shape"),
        ({"start_percent": -0.1}, "0..1"),
        ({"control_type": "depth"}, "Union"),
    ],
    ids=["empty", "nan", "video", "channels", "empty mask", "percent", "type"],
)
def test_what_cannot_work_is_refused(part: Part, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        part("cnet_core.hosting").check_spec(spec(part, **changes))


def test_a_start_after_the_end_is_no_control(part: Part) -> None:
    given = spec(part, start_percent=0.8, end_percent=0.2)
    part("cnet_core.hosting").check_spec(given)
    assert given.off


def test_inpaint_hints_pass(part: Part) -> None:
    image = torch.full((1, 64, 64, 3), -1.0)
    part("cnet_core.hosting").check_spec(spec(part, image=image))
