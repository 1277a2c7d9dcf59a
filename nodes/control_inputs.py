"""Inputs that Apply ControlNet and Route ControlNet share."""

from typing import Any

from comfy_api.latest import io

from ..cnet_core import FrameStrengths
from ..cnet_core.nets.union import TYPES
from .newer import ADVANCED
from .sockets import Routing, Scales

CONTROL_TYPES = ["auto", *("/".join(names) for names in TYPES)]


def list_connections() -> list[io.Input]:
    """Returns the sockets for routing and scales."""
    return [
        Routing.Input(
            "routing",
            optional=True,
            tooltip="Which prompt gets control, from CFG Hint Routing. Not connected: both.",
        ),
        Scales.Input(
            "scales",
            optional=True,
            tooltip="How much control each block gets, from Block-Scale Schedule. Not connected: the same for all.",
        ),
    ]


def list_choices() -> list[io.Input]:
    """Returns the reuse of residuals and the type of a Union ControlNet."""
    return [
        io.Float.Input(
            "reuse_tolerance",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.001,
            round=0.001,
            optional=True,
            tooltip="Faster: reuses the control of one step in the next ones until the picture has changed by this "
            "fraction. 0.2 saves a third of 20 steps or more; 0 computes control at every step.",
            **ADVANCED,
        ),
        io.Combo.Input(
            "control_type",
            options=CONTROL_TYPES,
            default=CONTROL_TYPES[0],
            optional=True,
            tooltip="What the picture shows, for Union ControlNets, which know several types. Leave auto for all "
            "others.",
            **ADVANCED,
        ),
    ]


def list_percents() -> list[io.Input]:
    """Returns the two ends of the window in which control acts."""
    return [
        _percent(
            "start_percent", 0.0, "When control starts, as a fraction of sampling (0 = start)."
        ),
        _percent("end_percent", 1.0, "When control ends, as a fraction of sampling (1 = end)."),
    ]


def _percent(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.001, tooltip=tooltip)


def make_frame_strengths() -> io.Input:
    """Returns the text with a strength per picture; `read_settings` parses it."""
    return io.String.Input(
        "frame_strengths",
        default="",
        optional=True,
        tooltip="A strength for each picture of the batch, such as the frames of a video: picture:factor pairs such as "
        "0:1, 8:0.3, linear in between. Pictures count from 0, and factors go from 0 to 2. Empty: the same for all.",
        **ADVANCED,
    )


def read_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns a node's inputs with the text of `frame_strengths` parsed.

    Raises:
        ValueError: the text holds no such pairs.
    """
    text = settings.get("frame_strengths", "")  # older scripts do not send it
    return {**settings, "frame_strengths": FrameStrengths.parse(text)}
