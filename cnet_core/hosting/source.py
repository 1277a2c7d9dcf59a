"""NetSource: where a run gets its net from."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..control.net import BlockLayout, Net


class NetSource(Protocol):
    """Where a run gets its net from: a file, or an object of the host's own loaders."""

    @property
    def hint_channels(self) -> int: ...

    @property
    def config(self) -> BlockLayout | None:
        """The shape of the net; None if it is built from the UNet itself when the run starts."""
        ...

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError for a control type that the net does not support."""
        ...

    @property
    def key(self) -> str:
        """Equal for equal weights, so that one net in two nodes is loaded once."""
        ...

    @property
    def patchers(self) -> Sequence[Any]:
        """The patchers that the host loads together with the model."""
        ...

    def open(self, base_model: Any, loaded: Sequence[Any]) -> Net:
        """Returns the net for a run on `base_model`; the net's `close` ends the run.

        `loaded` are the patchers, or the host's copies of them on a further GPU.
        """
        ...

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes that a run needs, without the weights that the host counts itself."""
        ...
