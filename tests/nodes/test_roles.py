"""Which conds are cond: by identity, then by uuid, else uncond."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

Part = Callable[[str], ModuleType]


def cond(uuid: str) -> dict:
    """One entry of ComfyUI's conditioning."""
    return {"uuid": uuid}


POSITIVE, MIDDLE, NEGATIVE, EMPTY = ([cond(name)] for name in ("p", "m", "n", "e"))
GUIDER = SimpleNamespace(
    conds={
        "positive": POSITIVE,
        "middle": MIDDLE,
        "negative": NEGATIVE,
        "empty_negative_prompt": EMPTY,
    }
)


@pytest.mark.parametrize(
    ("conds", "expected"),
    [
        ([POSITIVE, NEGATIVE], ("cond", "uncond")),
        ([NEGATIVE, MIDDLE, POSITIVE], ("uncond", "cond", "cond")),
        ([POSITIVE, NEGATIVE, EMPTY], ("cond", "uncond", "uncond")),
        ([NEGATIVE], ("uncond",)),
        ([POSITIVE, None], ("cond", "uncond")),
        ([[cond("p")], [cond("n")]], ("cond", "uncond")),
        ([[cond("unheard of")]], ("uncond",)),
        ([[]], ("uncond",)),
    ],
    ids=["cfg", "dual cfg", "perp-neg", "sag", "cfg 1", "copies", "own cond", "no cond"],
)
def test_branches_do_not_depend_on_the_position(part: Part, conds: list, expected: tuple) -> None:
    assert part("nodes.comfyui.roles").branches_of(conds, GUIDER) == expected


def test_equal_lists_are_told_apart_by_identity(part: Part) -> None:
    one, other = [cond("same")], [cond("same")]
    guider = SimpleNamespace(conds={"negative": other, "positive": one})
    assert part("nodes.comfyui.roles").branches_of([one, other], guider) == ("cond", "uncond")


def test_a_list_that_shares_a_uuid_with_both_sides_goes_to_the_nearer(part: Part) -> None:
    guider = SimpleNamespace(
        conds={"positive": [cond("p"), cond("area")], "negative": [cond("n"), cond("area")]}
    )
    copies = [[cond("n"), cond("area")], [cond("p"), cond("area")]]
    assert part("nodes.comfyui.roles").branches_of(copies, guider) == ("uncond", "cond")


def test_without_a_guider_nothing_is_guessed(part: Part) -> None:
    branches = part("nodes.comfyui.roles").branches_of([POSITIVE, NEGATIVE], None)
    assert branches == ("cond", "cond")


@pytest.mark.parametrize(
    ("guider", "scale"),
    [
        (SimpleNamespace(cfg=7.0), 7.0),
        (SimpleNamespace(cfg=1.0, cfg1=2.0, cfg2=5.0), 5.0),
        (SimpleNamespace(), None),
        (None, None),
    ],
    ids=["cfg", "dual", "no scale", "no guider"],
)
def test_the_cfg_scale_is_the_one_against_the_negative(
    part: Part, guider: object, scale: float | None
) -> None:
    assert part("nodes.comfyui.roles").cfg_scale_of(guider) == scale


def test_a_run_is_guided_also_when_a_call_brings_cond_alone(part: Part) -> None:
    roles = part("nodes.comfyui.roles")
    assert roles.is_guided(GUIDER, ("cond",))
    assert not roles.is_guided(SimpleNamespace(conds={"positive": POSITIVE}), ("cond",))
