"""Window: how a tool reads a unit's start and end, by training time or by counting sampling steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .clock import Clock


@dataclass(frozen=True)
class Window:
    """One of the rules that decide whether control is on, given a start and an end in 0..1."""

    rule: str = "training"

    def __post_init__(self) -> None:
        if self.rule != "training" and self.rule not in _COUNTED:
            raise ValueError(
                f"`rule` is {self.rule!r}; it must be training, {', '.join(_COUNTED)}."
            )

    @classmethod
    def training(cls) -> "Window":
        """By percent of training time, with both ends included; 0 and 1 never cut anything off.

        ComfyUI's own rule, also Advanced-ControlNet's and Forge's: they compare noise levels.
        """
        return cls("training")

    @classmethod
    def diffusers(cls) -> "Window":
        """Step i of N is in iff i/N >= start and (i+1)/N <= end (pipeline_controlnet.py, controlnet_keep)."""
        return cls("diffusers")

    @classmethod
    def webui(cls) -> "Window":
        """Step i of N is in iff start <= i/N <= end (sd-webui-controlnet, hook.py, guidance_schedule_handler)."""
        return cls("webui")

    @classmethod
    def invoke(cls) -> "Window":
        """Step i of N is in iff floor(start*N) <= i <= ceil(end*N) (InvokeAI, extensions/controlnet.py)."""
        return cls("invoke")

    def active(self, start: float, end: float, clock: Clock) -> tuple[bool, ...]:
        """Returns by row whether control is on.

        Args:
            start, end: the unit's percents, 0..1.
            clock: the time of the call.

        Raises:
            ValueError: the rule counts steps, the window is not the whole run, and the clock has no step.
        """
        if self.rule == "training":
            return clock.within(start, end)
        if start <= 0 and end >= 1:
            return (True,) * clock.rows
        if clock.step is None:
            raise ValueError(
                f"The window {start}..{end} counts sampling steps, as {self.rule} does, but the step is unknown: set "
                "`step = (i, n)` on the Attachment before every call of the UNet."
            )
        return (_COUNTED[self.rule](start, end, *clock.step),) * clock.rows


#: Rule -> (start, end, step i, number of steps n) -> whether step i is in the window.
_COUNTED: dict[str, Callable[[float, float, int, int], bool]] = {
    "diffusers": lambda start, end, i, n: i / n >= start and (i + 1) / n <= end,
    "webui": lambda start, end, i, n: start <= i / n <= end,
    "invoke": lambda start, end, i, n: math.floor(start * n) <= i <= math.ceil(end * n),
}
