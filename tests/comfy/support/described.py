"""What ComfyUI says of its nodes: their inputs, defaults and outputs."""

from collections.abc import Mapping
from typing import Any

#: What /object_info serves.
Info = Mapping[str, Any]
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def inputs_of(info: Info, kind: str) -> dict[str, Any]:
    """Returns a node's inputs in order."""
    return {**required_of(info, kind), **info[kind]["input"].get("optional", {})}


def required_of(info: Info, kind: str) -> dict[str, Any]:
    """Returns a node's required inputs in order."""
    return info[kind]["input"].get("required", {})


def is_widget(served: Any) -> bool:
    """Whether an input is a widget; options of a combo may stand in the place of its type."""
    return isinstance(served[0], list) or served[0] in WIDGETS


def settings_of(served: Any) -> dict[str, Any]:
    """Returns the description of an input without its type."""
    return served[1] if len(served) > 1 else {}


def options_of(served: Any) -> list[Any]:
    """Returns the choices of a combo."""
    return served[0] if isinstance(served[0], list) else settings_of(served).get("options", [])


def default_of(served: Any) -> Any:
    """Returns what a widget shows at first: its default, a combo's first choice, nothing of its type."""
    settings = settings_of(served)
    if "default" in settings:
        return settings["default"]
    choices = options_of(served)
    if choices:
        return choices[0]
    if isinstance(served[0], list):
        return ""
    least = settings.get("min", 0)
    return {"INT": least, "FLOAT": float(least), "BOOLEAN": False}.get(served[0], "")


def defaults(info: Info, kind: str, **given: Any) -> dict[str, Any]:
    """Returns a node's widget values as a new node has them; `given` goes before."""
    found = {
        name: default_of(served)
        for name, served in inputs_of(info, kind).items()
        if is_widget(served)
    }
    return {**found, **given}
