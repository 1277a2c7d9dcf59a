"""Frames: which pictures of the whole batch a UNet call covers, according to ComfyUI's context windows."""

from collections.abc import Mapping
from typing import Any

from . import animatediff_evolved


def frames_of(options: Mapping[str, Any], pictures: int) -> tuple[int, ...]:
    """Returns the frame of each picture in a UNet call.

    Args:
        options: the transformer options of the call.
        pictures: how many pictures the `calc_cond_batch` around it has.
    """
    shown = _window(options)
    picked = animatediff_evolved.frames_of(options)
    if picked is None:
        return tuple(range(pictures)) if shown is None else shown
    return picked if shown is None else tuple(shown[frame] for frame in picked)


def _window(options: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Returns the frames of ComfyUI's context window; newer versions put an earlier picture in front."""
    window = options.get("context_window")
    listed = getattr(window, "index_list", None)
    if listed is None or getattr(window, "dim", None) != 0:
        return None
    anchor = getattr(window, "causal_anchor_index", None)
    return (*(() if anchor is None or anchor < 0 else (anchor,)), *listed)
