"""Weave: the residuals of all foreign controls of a call as one `control` of ComfyUI's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ....cnet_core.xray import Watch
from ....cnet_core.xray.watch import row_norms
from ..run import Run
from .blocks import KEYS, OwnBlocks, is_unet
from .entry import Addition, ForeignPart, Seen, fill_entries, make_shell
from .places import EntryPlace, list_places, name_blocks

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
        self._shares: dict[tuple[tuple[int, int], ...], _Share] = {}

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
            share = self._share(place, woven[place.key][place.index], found)
            seen = self._on_addition(place.block, share.norms)
            addition = Addition(place.name, share.parts, self._batch, seen)
            additions.append(addition)
            woven[place.key][place.index] = addition.entry(share.shell)
        return woven, additions

    def plain(self, control: Any, found: Sequence[Contribution]) -> dict[str, list[Any]]:
        """Returns the control as tensors of all rows."""
        woven, _ = self.entries(control, found)
        return {key: [fill_entries(entry) for entry in entries] for key, entries in woven.items()}

    def _places(
        self, counts: tuple[int, ...], found: Sequence[Contribution]
    ) -> Sequence[EntryPlace]:
        """Returns the entries of all contributions, and names the blocks for the X-ray."""
        model: Any = self._model
        skips = len(model.output_blocks) if is_unet(model) else None
        words = STREAMS if hasattr(model, "single_blocks") else ("", "", "")
        self._watch.name_blocks(name_blocks(counts, words, skips))
        return list_places(counts, tuple(blocks.owners for blocks, _ in found), skips)

    def _share(
        self, place: EntryPlace, given: Tensor | None, found: Sequence[Contribution]
    ) -> "_Share":
        """Returns what is added at an entry, one for all entries of the same blocks."""
        if given is not None or self._left_out:
            return self._add_up(place, given, found)
        if place.own not in self._shares:
            self._shares[place.own] = self._add_up(place, None, found)
        return self._shares[place.own]

    def _add_up(
        self, place: EntryPlace, given: Tensor | None, found: Sequence[Contribution]
    ) -> "_Share":
        net, block = place.own[0]
        shell = make_shell(found[net][0].tensors[block], self._batch)
        parts = [] if given is None else [ForeignPart(given, self._everything)]
        if place.block not in (self._left_out or ()):
            own = (found[net][1][block] for net, block in place.own)
            parts += [part for part in own if part is not None]
        return _Share(parts, shell)

    def _on_addition(self, block: int, norms: dict[tuple[int, ...], Tensor]) -> Seen:
        add = self._watch.add_norms

        def record(rows: tuple[int, ...], feature: Tensor, residual: Tensor) -> None:
            if rows not in norms:  # blocks that are added at many places are measured once
                norms[rows] = row_norms(residual).expand(len(rows))
            add(block, rows, row_norms(feature), norms[rows])

        return record


@dataclass(frozen=True)
class _Share:
    """What is added at the entries of some blocks: its parts, a shell, and the residuals' norms by rows."""

    parts: list[ForeignPart]
    shell: Tensor
    norms: dict[tuple[int, ...], Tensor] = field(default_factory=dict[tuple[int, ...], Tensor])


def _length(key: str, given: Mapping[str, Sequence[Any]], found: Sequence[Contribution]) -> int:
    return max([len(given.get(key, ())), *(len(blocks.places[key]) for blocks, _ in found)])


def _pad_entries(entries: Sequence[Any], count: int) -> list[Any]:
    """Returns the entries with None behind them: UNets take them from the end of the list."""
    return [*entries, *[None] * (count - len(entries))]
