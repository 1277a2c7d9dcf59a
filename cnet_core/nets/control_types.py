"""ControlTypeError: a control type that a net does not take."""

from collections.abc import Sequence


class ControlTypeError(ValueError):
    """A control type that a net does not take.

    Attributes:
        given: the requested types.
        known: the types of a Union ControlNet; None for a net of one type.
    """

    def __init__(self, given: Sequence[str], known: Sequence[str] | None = None) -> None:
        self.given, self.known = tuple(given), known
        super().__init__(self.sentence("control_types", "Leave it out."))

    def sentence(self, argument: str, way_out: str) -> str:
        """Returns the message, with the argument's name and what to do for a net without types."""
        if self.known is None:
            return f"`{argument}` is for Union ControlNets; this ControlNet has one type. {way_out}"
        return f"`{argument}` is {self.given}; this Union ControlNet knows {', '.join(self.known)}."
