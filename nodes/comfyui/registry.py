"""ComfyUI's other nodes: their category, and ids that another pack also uses."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

logger = logging.getLogger("cnet")


def control_category() -> str:
    """Returns the category of ComfyUI's own ControlNet nodes, whose name depends on the version."""
    return _list_nodes()["ControlNetApplyAdvanced"].CATEGORY


def warn_of_taken_ids(ids: Sequence[str]) -> None:
    """Logs a warning if another pack already uses one of these ids: ComfyUI keeps the pack loaded last."""
    taken = sorted(set(ids) & set(_list_nodes()))
    if taken:
        logger.warning(
            "Another node pack has nodes with the same ids as this pack: %s. ComfyUI uses the pack that it loads "
            "last; disable the other pack if the nodes look wrong.",
            ", ".join(taken),
        )


def _list_nodes() -> Mapping[str, Any]:
    """Returns the nodes that ComfyUI has loaded so far, by id."""
    return sys.modules["nodes"].NODE_CLASS_MAPPINGS  # ComfyUI's own module with that name
