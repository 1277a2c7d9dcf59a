"""target_gain on the embedded model: what is asked for is what comes out."""

import pytest
from target_gain import responses

from cnet_core.tiny.model import TinyStableDiffusion


def test_with_one_text_and_little_strength_the_response_is_the_gain() -> None:
    found = responses(
        TinyStableDiffusion.load(),
        2.0,
        (1.2, 1.5, 7.5, 15.0),
        same_text=True,
        scenes=2,
        timesteps=(500,),
    )
    for response in found.values():
        assert response.flatten().tolist() == pytest.approx([2.0, 2.0], rel=0.02)


def test_with_two_texts_it_is_another_number() -> None:
    """The measure can tell: control acts differently on the null text's rows."""
    found = responses(TinyStableDiffusion.load(), 2.0, (15.0,), scenes=2, timesteps=(500,))
    assert abs(float(found[15.0].mean()) - 2.0) > 0.04
