"""Node ids that another pack holds too."""

import logging
import sys
from collections.abc import Sequence

logger = logging.getLogger("cnet")


def warn_of_taken_ids(ids: Sequence[str]) -> None:
    """Says once in the log when another pack already holds one of these ids: ComfyUI keeps the pack loaded last."""
    host = sys.modules.get("nodes")  # ComfyUI's own module of that name
    taken = sorted(set(ids) & set(getattr(host, "NODE_CLASS_MAPPINGS", {})))
    if taken:
        logger.warning(
            "Another node pack has nodes of the same id as ours: %s. ComfyUI uses those of the pack that it loads "
            "last; disable the other pack if the nodes look wrong.",
            ", ".join(taken),
        )
