"""Roles: which of ComfyUI's conds are cond and which are uncond.

Their order depends on the caller (DualCFG puts negative first, SAG sends only uncond), so positions mean nothing.
"""

from collections.abc import Mapping, Sequence

from ...cnet_core.control.routing import Branch
from .host_types import Conds

#: Names of the conds that guiders steer towards; they steer away from all others.
COND_NAMES = ("positive", "middle")


def branches_of(conds: Sequence[Conds | None], guider: object | None) -> tuple[Branch, ...]:
    """Returns the branch of each list of conds of one call: by identity with the guider's, then by uuid.

    Conds that the guider does not have are uncond (the old PerpNeg node encodes its own). Without a guider all are
    cond, which is right only for routings that treat both branches the same.
    """
    if guider is None:
        return ("cond",) * len(conds)
    named: Mapping[str, Conds] = getattr(guider, "conds", {})
    return tuple(_branch_of_name(_name_of(entry, named)) for entry in conds)


def is_guided(guider: object | None, branches: Sequence[Branch]) -> bool:
    """Whether the run has uncond rows, in this call or in another."""
    named: Mapping[str, Conds] = getattr(guider, "conds", {})
    names = [name for name, conds in named.items() if conds]
    return "uncond" in branches or any(_branch_of_name(name) == "uncond" for name in names)


def cfg_scale_of(guider: object | None) -> float | None:
    """Returns the current CFG scale; with two (DualCFG) the one against the negative."""
    for name in ("cfg2", "cfg"):
        if hasattr(guider, name):
            return float(getattr(guider, name))
    return None


def _name_of(conds: Conds | None, named: Mapping[str, Conds]) -> str | None:
    if conds is None:
        return None
    for name, known in named.items():
        if conds is known:
            return name
    shared = {name: len(_uuids(conds) & _uuids(known)) for name, known in named.items()}
    best = max(shared, key=lambda name: shared[name], default=None)
    return best if best is not None and shared[best] else None


def _branch_of_name(name: str | None) -> Branch:
    return "cond" if name is not None and name.startswith(COND_NAMES) else "uncond"


def _uuids(conds: Conds) -> set[object]:
    return {cond["uuid"] for cond in conds if "uuid" in cond}
