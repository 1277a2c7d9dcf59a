"""Our wrappers among those of other packs, in the transformer options that ComfyUI reads them from."""

from collections.abc import Callable, Mapping
from typing import Any

from .host_types import Options

#: Under which ComfyUI keeps what is ours.
KEY = "cnet"


def with_wrappers(
    options: Mapping[str, Any], ours: Mapping[str, Callable[..., Any]], first: bool
) -> Options:
    """Returns transformer options with our wrapper of each kind, outermost or innermost; `options` stay as they are."""
    wrappers = dict(options.get("wrappers", {}))
    for kind, wrapper in ours.items():
        key = f"{KEY} {'first' if first else 'last'}"
        others = {k: kept for k, kept in wrappers.get(kind, {}).items() if k != key}
        wrappers[kind] = {key: [wrapper], **others} if first else {**others, key: [wrapper]}
    return {**options, "wrappers": wrappers}
