"""Previews: drawn on the base's own noise schedule, also where the base is in half precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from training_models import SmallBase

import cnet_core as cn
from cnet_core.training import Objective
from cnet_core.training.base import Text
from cnet_core.training.order import generator_of
from cnet_core.training.preview import Preview


@dataclass
class HalfBase(SmallBase):
    """Its UNet and texts are in bfloat16; it predicts v = 0 everywhere."""

    def __post_init__(self) -> None:
        with torch.no_grad():
            for parameter in self.unet.out.parameters():
                parameter.zero_()
        self.unet.to(torch.bfloat16)

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        return Text(super().text(prompts, height, width).context.bfloat16())


@pytest.mark.parametrize("least", [0.3, 2**-24], ids=["with signal", "without"])
def test_a_preview_is_drawn_on_the_bases_own_schedule(least: float) -> None:
    """One step from v = 0 leads to the clean latents sqrt(a) x - sqrt(1 - a) v = sqrt(a) x, by the definition of v."""
    base = HalfBase(objective=Objective("v_prediction", torch.linspace(0.9, least, 1000)))
    net = cn.ControlNet.from_unet(base.unet).float()
    found = Preview(base, torch.zeros(1, 3, 64, 64), ("",), steps=1).draw(net)
    noise = torch.randn((1, 4, 8, 8), generator=generator_of("preview"))
    torch.testing.assert_close(found, base.decode(least**0.5 * noise), rtol=0, atol=1e-3)
