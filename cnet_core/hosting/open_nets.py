"""OpenNets: the nets of one run."""

from collections.abc import Callable, Sequence
from typing import Any

from ..control.net import Net
from .source import NetSource


class OpenNets:
    """The nets that a run opened, one per source and model. With several GPUs, each model has its own."""

    def __init__(self, find_patchers: Callable[[NetSource, Any], Sequence[Any]]) -> None:
        """Starts without nets.

        Args:
            find_patchers: returns the patchers of a source that the host loaded for a model.
        """
        self._find_patchers = find_patchers
        self._nets: dict[tuple[str, int], Net] = {}

    def open(self, source: NetSource, model: Any) -> Net:
        """Returns the net of a source for a model, opened at its first use."""
        key = (source.key, id(model))
        if key not in self._nets:
            self._nets[key] = source.open(model, self._find_patchers(source, model))
        return self._nets[key]

    def close(self) -> None:
        """Closes every net."""
        for net in self._nets.values():
            net.close()
        self._nets.clear()
