"""What hangs on the conds of a sampling: chains of controls, and the hooks that ComfyUI puts there with them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...cnet_core.hosting import NetSource
from .host_types import Conds, Model
from .run import models_key

#: Conds of a guider by name; ComfyUI copied them for this sampling, so they may be changed.
NamedConds = Mapping[str, Sequence[Any]]


def each_cond(conds: Mapping[Any, Sequence[Any] | None]) -> Iterator[Any]:
    """Gives the conds of all sides."""
    return (cond for side in conds.values() for cond in side or ())


def chain_of(control: Any) -> Iterator[Any]:
    """Gives a control and those before it in its chain."""
    while control is not None:
        yield control
        control = control.previous_controlnet


def travelling_sources(conds: Mapping[Any, Conds | None]) -> Iterator[NetSource]:
    """Gives the sources of our controls on conds, by name or position, as often as they are there."""
    for cond in each_cond(conds):
        for control in chain_of(cond.get("control")):
            source = getattr(control, "net_source", None)
            if source is not None:
                yield source


def spare_models(conds: NamedConds, model: Model) -> None:
    """Has our controls leave out nets that ComfyUI loads with the MODEL: two patchers of one net would count twice."""
    for cond in each_cond(conds):
        for control in chain_of(cond.get("control")):
            if hasattr(control, "net_source"):
                loaded = model.get_additional_models_with_key(models_key(control.net_source))
                control.models_are_loaded = bool(loaded)


def share_equal_controls(conds: NamedConds) -> None:
    """Makes equal chains of our controls one object, since ComfyUI runs conds in one call only if they share it.

    Tilers and regional nodes give each cond a copy of its control.
    """
    seen: list[Any] = []
    for cond in each_cond(conds):
        control = cond.get("control")
        if control is None:
            continue
        same = next((known for known in seen if _are_equal(known, control)), None)
        if same is None:
            seen.append(control)
        else:
            cond["control"] = same


def release_hooks(conds: NamedConds, ours: Any) -> None:
    """Takes our hooks (a HookGroup) off conds, since ComfyUI runs conds of different groups in calls of their own."""
    groups = {frozenset(c["hooks"].hooks): c["hooks"] for c in each_cond(conds) if c.get("hooks")}
    for cond in each_cond(conds):
        group = cond.pop("hooks", None)
        left = frozenset(group.hooks if group else ()) - frozenset(ours.hooks)
        if left:
            cond["hooks"] = groups.setdefault(left, _without(group, ours))


def complete_hooks(conds: NamedConds, originals: NamedConds) -> None:
    """Gives cloned hooks the attributes that their `clone` forgot, from the hooks that the prompts came with.

    ComfyUI clones the hooks of a cond whose control has hooks, too. Those of prompt-control's COUPLE lose an attribute.
    """
    known = {hook: hook for cond in each_cond(originals) for hook in _hooks_of(cond)}
    for cond in each_cond(conds):
        for hook in _hooks_of(cond):
            held = vars(hook)
            held.update({k: v for k, v in vars(known.get(hook, hook)).items() if k not in held})


def _hooks_of(cond: Any) -> Sequence[Any]:
    group = cond.get("hooks")
    return group.hooks if group else ()


def _without(group: Any, ours: Any) -> Any:
    """Returns a HookGroup without some hooks."""
    rest = group.clone()
    for hook in ours.hooks:
        rest.remove(hook)
    return rest


def _are_equal(first: Any, second: Any) -> bool:
    """Whether two chains do the same; foreign controls only if they are one object."""
    ones, others = list(chain_of(first)), list(chain_of(second))
    return len(ones) == len(others) and all(
        one is other or (hasattr(one, "does_as") and one.does_as(other))
        for one, other in zip(ones, others, strict=True)
    )
