"""The building blocks: what is computed in parts gives the numbers of the whole."""

import pytest
import torch

from cnet_core.nets.blocks import FeedForward


@pytest.mark.parametrize(
    ("most", "expected"),
    [(30 * 512, [30]), (30 * 512 - 1, [29, 1]), (16 * 512, [16, 14]), (1, [1] * 30)],
)
def test_a_feed_forward_takes_many_tokens_in_parts(
    monkeypatch: pytest.MonkeyPatch, most: int, expected: list[int]
) -> None:
    """16 channels, so 128 numbers or 512 bytes a token at its widest; 2 x 15 tokens."""
    layer, x = FeedForward(16), torch.randn(2, 15, 16)
    value, gate = layer.net[0].proj(x).chunk(2, dim=-1)
    want = layer.net[2](value * torch.nn.functional.gelu(gate))
    parts: list[int] = []
    layer.net[0].register_forward_hook(
        lambda module, args, output: parts.append(output.shape[:-1].numel())
    )
    monkeypatch.setattr("cnet_core.nets.blocks.MOST_WIDENED", most)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), want)
    assert parts == expected
    assert layer(x).requires_grad
    assert parts[len(expected) :] == [30]  # for gradients, which keep all parts
