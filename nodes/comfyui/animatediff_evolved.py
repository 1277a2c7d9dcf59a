"""Support for ComfyUI-AnimateDiff-Evolved (Kosinkadink): reads the frames of its sliding context window."""

from collections.abc import Mapping
from typing import Any


def frames_of(options: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Returns the frames of its window, from the transformer options of a UNet call; None without a window."""
    frames = options.get("ad_params", {}).get("sub_idxs")
    return None if frames is None else tuple(frames)
