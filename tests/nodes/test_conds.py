"""What hangs on conds: equal controls become one object, and our hooks go."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

Part = Callable[[str], ModuleType]


class Control:
    """A control that knows when another does the same."""

    def __init__(self, does: str, previous: Any = None) -> None:
        self.does, self.previous_controlnet = does, previous

    def does_as(self, other: Any) -> bool:
        """Whether both do the same."""
        return self.does == other.does


class Foreign:
    """A control of another kind."""

    previous_controlnet = None


class Group:
    """As ComfyUI's HookGroup."""

    def __init__(self, *hooks: Any) -> None:
        self.hooks = list(hooks)

    def clone(self) -> "Group":
        """Returns a copy."""
        return Group(*self.hooks)

    def remove(self, hook: str) -> None:
        """Takes a hook out, if it is there."""
        if hook in self.hooks:
            self.hooks.remove(hook)


def shared(part: Part, first: Any, second: Any) -> bool:
    """Whether the conds of two sides end with one object."""
    conds = {"positive": [{"control": first}, {}], "negative": [{"control": second}]}
    part("nodes.comfyui.conds").share_equal_controls(conds)
    return conds["positive"][0]["control"] is conds["negative"][0]["control"]


def test_copies_become_one_object(part: Part) -> None:
    assert shared(part, Control("a"), Control("a"))
    assert not shared(part, Control("a"), Control("b"))


def test_chains_become_one_object_if_all_of_them_are_equal(part: Part) -> None:
    foreign = Foreign()
    assert shared(part, Control("a", Control("b")), Control("a", Control("b")))
    assert shared(part, Control("a", foreign), Control("a", foreign))
    assert not shared(part, Control("a", Foreign()), Control("a", Foreign()))
    assert not shared(part, Control("a", Control("b")), Control("a"))
    assert not shared(part, Foreign(), Foreign())


def test_our_hooks_go_and_conds_of_equal_other_hooks_share_a_group(part: Part) -> None:
    lora = Group("lora")
    conds: dict[str, list[dict[str, Any]]] = {
        "positive": [{"hooks": Group("ours")}, {"hooks": Group("lora", "ours")}],
        "negative": [{"hooks": lora}, {}, {"hooks": None}],
    }
    part("nodes.comfyui.conds").release_hooks(conds, Group("ours"))
    assert [cond.get("hooks") for cond in conds["positive"]] == [None, lora]
    assert [cond.get("hooks") for cond in conds["negative"]] == [lora, None, None]
    assert "hooks" not in conds["positive"][0]


class Hook:
    """A hook of a prompt; its clones are equal, and this one holds more than they do."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hook)

    def __hash__(self) -> int:
        return 1


def test_cloned_hooks_get_what_their_clone_forgot_and_keep_what_they_have(part: Part) -> None:
    first, clone = Hook(), Hook()
    vars(first).update(mask="first", strength="first")
    vars(clone).update(strength="clone")
    conds = {"positive": [{"hooks": Group(clone)}], "negative": [{}]}
    part("nodes.comfyui.conds").complete_hooks(conds, {"positive": [{"hooks": Group(first)}]})
    assert vars(clone) == {"mask": "first", "strength": "clone"}


def test_sources_are_found_in_every_place_of_a_chain(part: Part) -> None:
    first, last = Control("a"), Control("b", Foreign())
    first.net_source, last.net_source = "one", "two"  # type: ignore[attr-defined]
    first.previous_controlnet = last
    found = part("nodes.comfyui.conds").travelling_sources({"positive": [{"control": first}, {}]})
    assert list(found) == ["one", "two"]
