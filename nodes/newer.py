"""What only newer ComfyUIs read in a node's schema; older ones refuse the arguments."""

from dataclasses import fields
from inspect import signature
from typing import Any

from comfy_api.latest import io

from .aliases import ALIASES

#: Marks an input that nobody needs at first: front ends fold it away.
ADVANCED: dict[str, Any] = (
    {"advanced": True} if "advanced" in signature(io.Float.Input.__init__).parameters else {}
)


def list_aliases(node_id: str) -> dict[str, Any]:
    """Returns the schema's argument with the words that people look for a node by."""
    known = {field.name for field in fields(io.Schema)}
    return {"search_aliases": list(ALIASES[node_id])} if "search_aliases" in known else {}
