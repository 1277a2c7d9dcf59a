"""The vocabulary: known words, the null text, clear refusals."""

import pytest
import torch

from cnet_core.tiny.text import MAX_TOKENS, VOCABULARY, TextEmbedding, tokenize


def test_words_become_tokens_and_the_rest_is_padding() -> None:
    tokens = tokenize("A coral circle, on a NAVY background.")
    assert [VOCABULARY[t - 1] for t in tokens if t] == [
        "a",
        "coral",
        "circle",
        "on",
        "a",
        "navy",
        "background",
    ]
    assert len(tokens) == MAX_TOKENS


@pytest.mark.parametrize("prompt", ["", "   ", "."])
def test_the_empty_prompt_is_the_null_text(prompt: str) -> None:
    assert tokenize(prompt) == [0] * MAX_TOKENS


def test_unknown_words_are_named_and_the_known_listed() -> None:
    with pytest.raises(
        ValueError, match=r"does not know 'dog', 'sofa'; its words are: a, an, .*coral"
    ):
        tokenize("a dog on a sofa")


def test_long_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="9 words; the embedded model reads at most 8"):
        tokenize("a " * 9)


def test_embeddings_tell_position_and_word_apart() -> None:
    embedding = TextEmbedding()
    with torch.no_grad():
        first, second = embedding(["red circle", "circle red"])
    assert first.shape == (MAX_TOKENS, 64)
    assert not torch.equal(first[:2], second[:2])
    assert torch.equal(first[2:], second[2:])
