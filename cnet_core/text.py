"""Text: text embeddings that keep, from step to step, what each attention layer makes of them."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

#: How many Texts a unit keeps: of cond and of uncond in calls of their own, and of parts of them.
MOST_TEXTS = 4


class Text:
    """Text embeddings (B, tokens, context_dim), for as many steps as they stay the same.

    Args:
        embeddings: the text embeddings.
        most_bytes: of keys and values that are kept; layers beyond that compute theirs at every step.
    """

    def __init__(self, embeddings: Tensor, most_bytes: int) -> None:
        self.embeddings = embeddings
        self._most_bytes = most_bytes
        self._kept: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._bytes = 0

    def keys_and_values(self, to_keys: nn.Module, to_values: nn.Module) -> tuple[Tensor, Tensor]:
        """Returns what two layers make of the embeddings, computed once."""
        if to_keys in self._kept:
            return self._kept[to_keys]
        found = cast(Tensor, to_keys(self.embeddings)), cast(Tensor, to_values(self.embeddings))
        size = sum(t.numel() * t.element_size() for t in found)
        if not any(t.requires_grad for t in found) and self._bytes + size <= self._most_bytes:
            self._kept[to_keys] = found
            self._bytes += size
        return found


@dataclass(frozen=True)
class _Kept:
    source: Tensor  # held, so that no other tensor can take its place in memory
    version: int
    text: Text


class Texts:
    """Texts made of parts of a host's embeddings, by the embeddings' identity: the same tensor, not written to since.

    A host that builds its embeddings anew for every call gets new Texts, which is right, only slower. Inference
    tensors do not tell whether they were written to, so nothing is kept for them.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()

    def clear(self) -> None:
        """Drops everything kept."""
        self._kept.clear()

    def find(self, source: Tensor, key: tuple[object, ...]) -> Text | None:
        """Returns the Text that was kept under a key for these embeddings, if they are unchanged."""
        kept = self._kept.get((id(source), *key))
        if kept is None or source.is_inference() or kept.version != source._version:  # pyright: ignore[reportPrivateUsage]
            return None
        self._kept.move_to_end((id(source), *key))
        return kept.text

    def keep(self, source: Tensor, key: tuple[object, ...], text: Text) -> Text:
        """Keeps a Text made of these embeddings, in place of the one that was not used for longest; returns it."""
        if not source.is_inference():
            version = source._version  # pyright: ignore[reportPrivateUsage]
            self._kept[(id(source), *key)] = _Kept(source, version, text)
            while len(self._kept) > MOST_TEXTS:
                self._kept.popitem(last=False)
        return text
