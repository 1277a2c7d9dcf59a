"""Controls on their way from ComfyUI's conditioning to the UNet call, inside ComfyUI's own `control` lists.

ComfyUI asks a control for its residuals before it calls the UNet. Ours are computed inside that call, together with
those on the MODEL, so `get_control` returns only what to compute. It sits in the list of the middle, behind the one
place that other controls use: they add up equal places and copy the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ...cnet_core.hosting import UnitSpec

#: The lists of a `control`.
KINDS = ("input", "middle", "output")

OWN_FORWARD = (
    "A node on the model computes the UNet with a forward of its own (DeepCache does), so the ControlNet would have no "
    "effect. Leave that node out, or put a ControlNet of ComfyUI's own loader on the conditionings with ComfyUI's own "
    "Apply ControlNet node."
)

#: Lists of residuals by kind, as ComfyUI's controls return them.
ControlLists = dict[str, list[Any]]


@dataclass(frozen=True)
class Arrivals:
    """The controls that one call of the UNet is to compute, in the order in which they add up."""

    specs: tuple[UnitSpec, ...]

    @property
    def shape(self) -> NoReturn:
        """Raises: only code that takes a control for a tensor asks, as ComfyUI's does where it cannot add one."""
        raise RuntimeError(OWN_FORWARD)


def put_arrival(control: Mapping[str, Sequence[Any]] | None, spec: UnitSpec) -> ControlLists:
    """Returns a `control` that also carries a spec; `control` itself stays as it is."""
    earlier, rest = take_arrivals(control)
    given = {**dict.fromkeys(KINDS, ()), **(rest or {})}
    lists: ControlLists = {kind: list(entries) for kind, entries in given.items()}
    middle = lists["middle"] or [None]
    return {**lists, "middle": [*middle, Arrivals((*earlier, spec))]}


def take_arrivals(
    control: Mapping[str, Sequence[Any]] | None,
) -> tuple[tuple[UnitSpec, ...], Mapping[str, Sequence[Any]] | None]:
    """Returns the specs that a `control` carries, and the control without them; None where nothing is left of it."""
    entries = [] if control is None else control.get("middle", ())
    specs = [spec for one in entries if isinstance(one, Arrivals) for spec in one.specs]
    if control is None or not specs:
        return (), control
    rest = {**control, **{kind: list(control.get(kind, ())) for kind in KINDS}}
    rest["middle"] = [entry for entry in entries if not isinstance(entry, Arrivals)]
    left = any(entry is not None for kind in KINDS for entry in rest[kind])
    return tuple(specs), rest if left else None
