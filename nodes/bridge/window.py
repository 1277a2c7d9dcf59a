"""Time windows as ComfyUI counts them: in the noise levels of the model sampling in force at the run."""

from collections.abc import Callable

#: Halvings of the interval when a noise level is turned back into a percent: enough for float32.
HALVINGS = 30

PercentToSigma = Callable[[float], float]


def percent_in_window(
    sigma: float, start: float, end: float, percent_to_sigma: PercentToSigma, exact: bool
) -> float | None:
    """Returns the percent of the run within [start, end], or None outside.

    Whether it is inside is decided on noise levels, exactly as ComfyUI's own ControlNets do.

    Args:
        sigma: the noise level of the call.
        start, end: the window, 0..1.
        percent_to_sigma: of the model sampling; falls with the percent.
        exact: whether the percent itself is needed (time curves), or any inside will do.
    """
    if sigma > percent_to_sigma(start) or sigma < percent_to_sigma(end):
        return None
    if not exact:
        return start
    return min(max(percent_of(sigma, percent_to_sigma), start), end)


def percent_of(sigma: float, percent_to_sigma: PercentToSigma) -> float:
    """Returns the percent at which `percent_to_sigma` comes down to `sigma`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if percent_to_sigma(middle) > sigma:
            low = middle
        else:
            high = middle
    return (low + high) / 2
