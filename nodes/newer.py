"""Arguments of a node's schema that only newer ComfyUIs accept; older ones refuse them."""

from dataclasses import fields
from inspect import signature
from typing import Any

from comfy_api.latest import io

from .aliases import ALIASES

#: Marks an input that beginners do not need: front ends fold it away.
ADVANCED: dict[str, Any] = (
    {"advanced": True} if "advanced" in signature(io.Float.Input.__init__).parameters else {}
)


def list_aliases(node_id: str) -> dict[str, Any]:
    """Returns the schema's argument with a node's search words."""
    known = {field.name for field in fields(io.Schema)}
    return {"search_aliases": list(ALIASES[node_id])} if "search_aliases" in known else {}
