"""The colour pairs that scenes may use: each kind needs a painted one."""

import pytest
import torch
from torch import Tensor

from cnet_core.tiny.scenes import (
    NATURAL,
    check_pairs,
    clear_grounds,
    held_out_pairs,
    random_scene,
)
from cnet_core.tiny.things import KINDS


def without_clover() -> Tensor:
    """All pairs but the painted ones in which a clover keeps clear of its ground."""
    pairs = ~clear_grounds()[KINDS.index("clover")]
    pairs[NATURAL] = True
    return pairs


def test_pairs_without_a_painted_one_for_each_kind_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"`pairs` .* without a painted pair: .*\bclover\b.*\. Allow"
    ):
        check_pairs(without_clover())


def test_scenes_of_such_pairs_are_refused_on_the_cpu() -> None:
    with pytest.raises(ValueError, match="without a painted pair"):
        random_scene(4, torch.Generator().manual_seed(0), without_clover())


def test_one_painted_pair_for_each_kind_is_enough() -> None:
    pairs = torch.zeros(NATURAL + 1, NATURAL, dtype=torch.bool)
    for clear in clear_grounds():
        colour, ground = clear[:NATURAL].nonzero()[0]
        pairs[colour, ground] = True
    scene = random_scene(500, torch.Generator().manual_seed(0), pairs)
    assert pairs[scene.colour, scene.ground].all()
    assert clear_grounds()[scene.kind, scene.colour, scene.ground].all()


@pytest.mark.parametrize("pairs", [held_out_pairs(), ~held_out_pairs()], ids=["held out", "others"])
def test_the_projects_own_pairs_are_enough(pairs: Tensor) -> None:
    check_pairs(pairs)
