"""Weave: the residuals of all foreign controls of a call as one `control` of ComfyUI's."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ....cnet_core.xray import Watch
from ....cnet_core.xray.record import row_norms
from ..run import Run
from .blocks import KEYS, OwnBlocks, is_unet
from .entry import Addition, ForeignPart, Seen, fill_entries, make_shell
from .places import Place, list_places, name_blocks

#: How Flux and Chroma call the blocks that take each key's entries.
STREAMS = ("double ", "middle ", "single ")
#: A control net's blocks, and what each of them adds.
Contribution = tuple[OwnBlocks, Sequence[ForeignPart | None]]


class Weave:
    """Puts contributions together entry by entry, with a control that came with the call."""

    def __init__(self, model: nn.Module, batch: int, watch: Watch, run: Run) -> None:
        self._model, self._batch, self._watch, self._run = model, batch, watch, run
        self._everything = tuple(range(batch))
        self._left_out = run.record.left_out
        self._norms: dict[Any, dict[tuple[int, ...], Tensor]] = {}
        self._shells: dict[Any, Tensor] = {}

    def entries(
        self, control: Any, found: Sequence[Contribution]
    ) -> tuple[dict[str, list[Any]], list[Addition]]:
        """Returns the control, and the additions behind its entries."""
        given: Mapping[str, Sequence[Any]] = control or {}
        counts = tuple(_length(key, given, found) for key in KEYS)
        pairs = zip(KEYS, counts, strict=True)
        woven = {key: _pad_entries(given.get(key, ()), count) for key, count in pairs}
        additions: list[Addition] = []
        if self._left_out is None:
            self._run.record.injections += 1
        for place in self._places(counts, found):
            parts = self._parts(place, woven[place.key][place.index], found)
            seen = self._on_addition(place.block, parts)
            additions.append(Addition(place.name, parts, self._batch, seen))
            woven[place.key][place.index] = additions[-1].entry(self._shell(place, found))
        return woven, additions

    def plain(self, control: Any, found: Sequence[Contribution]) -> dict[str, list[Any]]:
        """Returns the control as tensors of all rows."""
        woven, _ = self.entries(control, found)
        return {key: [fill_entries(entry) for entry in entries] for key, entries in woven.items()}

    def _places(self, counts: tuple[int, ...], found: Sequence[Contribution]) -> Sequence[Place]:
        """Returns the entries of all contributions, and names the blocks for the X-ray."""
        model: Any = self._model
        skips = len(model.output_blocks) if is_unet(model) else None
        words = STREAMS if hasattr(model, "single_blocks") else ("", "", "")
        self._watch.name_blocks(name_blocks(counts, words, skips))
        return list_places(counts, tuple(blocks.owners for blocks, _ in found), skips)

    def _parts(
        self, place: Place, given: Tensor | None, found: Sequence[Contribution]
    ) -> list[ForeignPart]:
        """Returns what is added at an entry, after what was given there."""
        before = [] if given is None else [ForeignPart(given, self._everything)]
        if self._left_out and place.block in self._left_out:
            return before
        own = (found[net][1][block] for net, block in place.own)
        return [*before, *(part for part in own if part is not None)]

    def _shell(self, place: Place, found: Sequence[Contribution]) -> Tensor:
        """Returns the shell of an entry, one for all of the same shape."""
        net, block = place.own[0]
        like = found[net][0].tensors[block]
        key = (like.shape, like.dtype, like.device)
        if key not in self._shells:
            self._shells[key] = make_shell(like, self._batch)
        return self._shells[key]

    def _on_addition(self, block: int, parts: Sequence[ForeignPart]) -> Seen:
        which = tuple((id(part.tensor), part.factor) for part in parts)
        norms = self._norms.setdefault(which, {})
        add = self._watch.add_norms

        def record(rows: tuple[int, ...], feature: Tensor, residual: Tensor) -> None:
            if rows not in norms:  # blocks that are added at many places are measured once
                norms[rows] = row_norms(residual).expand(len(rows))
            add(block, rows, row_norms(feature), norms[rows])

        return record


def _length(key: str, given: Mapping[str, Sequence[Any]], found: Sequence[Contribution]) -> int:
    return max([len(given.get(key, ())), *(len(blocks.places[key]) for blocks, _ in found)])


def _pad_entries(entries: Sequence[Any], count: int) -> list[Any]:
    """Returns the entries with None behind them: UNets take them from the end of the list."""
    return [*entries, *[None] * (count - len(entries))]
