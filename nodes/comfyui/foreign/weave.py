"""Weave: the residuals of all foreign controls of a call as one `control` of ComfyUI's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ....cnet_core.xray import Watch
from ....cnet_core.xray.record import MIDDLE, row_norms
from ..run import Run
from .blocks import KEYS, OwnBlocks, is_unet, unet_depth
from .entry import Addition, ForeignPart, fill_entries

#: How Flux and Chroma call the blocks that take each key's entries.
STREAMS = {"input": "double ", "middle": "middle ", "output": "single "}
#: A control net's blocks, and what each of them adds.
Contribution = tuple[OwnBlocks, Sequence[ForeignPart | None]]


class Weave:
    """Puts contributions together entry by entry, with a control that came with the call."""

    def __init__(self, model: nn.Module, batch: int, watch: Watch, run: Run) -> None:
        self._model, self._batch, self._watch, self._run = model, batch, watch, run
        self._left_out = run.record.left_out
        self._norms: dict[Any, Tensor] = {}

    def entries(
        self, control: Any, found: Sequence[Contribution]
    ) -> tuple[dict[str, list[Any]], list[Addition]]:
        """Returns the control, and the additions behind its entries."""
        counts = {key: _length(key, control, found) for key in KEYS}
        woven = {key: _pad_entries((control or {}).get(key, ()), counts[key]) for key in KEYS}
        additions: list[Addition] = []
        if self._left_out is None:
            self._run.record.injections += 1
        for key, index, block, like, parts in self._places(control, found, counts):
            addition = Addition(
                f"`{key}` {index}", parts, self._batch, self._on_addition(block, parts)
            )
            additions.append(addition)
            woven[key][index] = addition.entry(like)
        return woven, additions

    def plain(self, control: Any, found: Sequence[Contribution]) -> dict[str, list[Any]]:
        """Returns the control as tensors of all rows."""
        woven, _ = self.entries(control, found)
        return {key: [fill_entries(entry) for entry in entries] for key, entries in woven.items()}

    def _places(
        self, control: Any, found: Sequence[Contribution], counts: Mapping[str, int]
    ) -> Iterator[tuple[str, int, int, Tensor, list[ForeignPart]]]:
        """Yields key, index, block of the X-ray, a residual, and the parts of each entry that is not None."""
        self._watch.name_blocks(self._names(counts))
        before = 0
        for key in KEYS:
            for index in range(counts[key]):
                own = [part for part in (_part(c, key, index) for c in found) if part is not None]
                if not own:
                    continue
                block = self._block(key, index, counts[key], before)
                given = (control or {}).get(key, ())
                parts = [] if block in (self._left_out or ()) else [p for _, p in own if p]
                if index < len(given) and given[index] is not None:
                    parts.insert(0, ForeignPart(given[index], tuple(range(self._batch))))
                yield key, index, block, own[0][0], parts
            before += counts[key]

    def _block(self, key: str, index: int, count: int, before: int) -> int:
        if is_unet(self._model):
            return unet_depth(key, index, count, len(self._skips))
        return before + index

    @property
    def _skips(self) -> Any:
        return self._model.output_blocks

    def _names(self, counts: Mapping[str, int]) -> tuple[str, ...]:
        """Returns the names of the model's blocks for the X-ray."""
        if is_unet(self._model):
            return (*map(str, range(len(self._skips))), MIDDLE)
        words = STREAMS if hasattr(self._model, "single_blocks") else dict.fromkeys(KEYS, "")
        return tuple(f"{words[key]}{index}" for key in KEYS for index in range(counts[key]))

    def _on_addition(self, block: int, parts: Sequence[ForeignPart]) -> Any:
        which = tuple((id(part.tensor), part.factor) for part in parts)

        def record(rows: Sequence[int], feature: Tensor, residual: Tensor) -> None:
            key = (which, tuple(rows))
            if key not in self._norms:  # blocks that are added at many places are measured once
                self._norms[key] = row_norms(residual).expand(len(rows))
            self._watch.add_norms(block, rows, row_norms(feature), self._norms[key])

        return record


def _length(key: str, control: Any, found: Sequence[Contribution]) -> int:
    given = len((control or {}).get(key, ()))
    return max([given, *(len(blocks.places[key]) for blocks, _ in found)])


def _part(
    contribution: Contribution, key: str, index: int
) -> tuple[Tensor, ForeignPart | None] | None:
    """Returns the tensor of a net at an entry and what it adds there; None for no entry."""
    blocks, parts = contribution
    places = blocks.places[key]
    own = places[index] if index < len(places) else None
    return None if own is None else (blocks.tensors[own], parts[own])


def _pad_entries(entries: Sequence[Any], count: int) -> list[Any]:
    """Returns the entries with None behind them: UNets take them from the end of the list."""
    return [*entries, *[None] * (count - len(entries))]
