"""The text of the embedded model: a small vocabulary, learned word and position embeddings."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .colours import COLOURS
from .things import KINDS

#: Every word a prompt may hold. Token 0 is padding; a prompt of padding alone is the null text.
VOCABULARY: tuple[str, ...] = ("a", "an", "the", "on", "background", "shape", *KINDS, *COLOURS)
MAX_TOKENS = 8
CONTEXT_DIM = 64


def tokenize(prompt: str) -> list[int]:
    """Returns the MAX_TOKENS token numbers of a prompt, padded with 0.

    Raises:
        ValueError: an unknown word, or more words than MAX_TOKENS.
    """
    words = re.findall(r"[^\s,.;!]+", prompt.lower())
    unknown = [w for w in words if w not in VOCABULARY]
    if unknown:
        raise ValueError(
            f"The embedded model does not know {', '.join(map(repr, unknown))}; its words are: "
            f"{', '.join(VOCABULARY)}. Write for example 'a red fox on a sky background', or '' for no prompt."
        )
    if len(words) > MAX_TOKENS:
        raise ValueError(
            f"The prompt has {len(words)} words; the embedded model reads at most {MAX_TOKENS}."
        )
    tokens = [VOCABULARY.index(w) + 1 for w in words]
    return tokens + [0] * (MAX_TOKENS - len(tokens))


class TextEmbedding(nn.Module):
    """Prompts -> text embeddings (B, MAX_TOKENS, CONTEXT_DIM); no transformer, the sentences have one form."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(len(VOCABULARY) + 1, CONTEXT_DIM)
        self.positions = nn.Parameter(torch.randn(MAX_TOKENS, CONTEXT_DIM) * 0.5)

    def forward(self, prompts: Sequence[str]) -> Tensor:
        tokens = torch.tensor([tokenize(p) for p in prompts], device=self.positions.device)
        return self.embed(tokens)

    def embed(self, tokens: Tensor) -> Tensor:
        """Returns the embeddings of tokens (B, MAX_TOKENS)."""
        return self.words(tokens) + self.positions
