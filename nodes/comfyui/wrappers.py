"""The pack's wrappers among those of other packs, in ComfyUI's transformer options."""

from collections.abc import Callable, Mapping
from typing import Any

from .host_types import Options

#: The key of this pack's wrappers in ComfyUI.
KEY = "cnet"


def with_wrappers(
    options: Mapping[str, Any], ours: Mapping[str, Callable[..., Any]], first: bool
) -> Options:
    """Returns a copy of transformer options with this pack's wrappers, outermost or innermost of each kind."""
    wrappers = dict(options.get("wrappers", {}))
    for kind, wrapper in ours.items():
        key = f"{KEY} {'first' if first else 'last'}"
        others = {k: kept for k, kept in wrappers.get(kind, {}).items() if k != key}
        wrappers[kind] = {key: [wrapper], **others} if first else {**others, key: [wrapper]}
    return {**options, "wrappers": wrappers}
