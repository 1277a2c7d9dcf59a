"""Adapters of third parties."""

import pytest
import torch
from fake_hosts import known_call, known_unit
from torch import nn

import cnet_core as cn


class _Block(nn.Module):
    extra: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.extra is None else x + self.extra


class _TheirUNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.my_blocks = nn.ModuleList(_Block() for _ in range(4))

    def forward(self, x: torch.Tensor, t: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        for block in self.my_blocks:
            x = block(x)
        return x


class _TheirAdapter:  # the one of register_adapter's docstring
    def fits(self, unet):
        return hasattr(unet, "my_blocks")

    def attach(self, unet, on_call):
        def before(module, args):
            x, t, text = args
            found = on_call(x, t, text, None)
            extras = [None] * len(unet.my_blocks) if found is None else found.blocks
            for block, extra in zip(unet.my_blocks, extras, strict=True):
                block.extra = extra

        return [unet.register_forward_pre_hook(before)]


def test_a_registered_adapter_is_used_until_it_is_taken_off() -> None:
    unet, inputs = _TheirUNet(), known_call()
    take_off = cn.register_adapter(_TheirAdapter())
    with cn.patch_unet(unet, known_unit()):
        assert torch.allclose(unet(*inputs), inputs[0] + 1 + 2 + 3 + 4)
    take_off()
    with pytest.raises(TypeError, match="_TheirUNet"):
        cn.patch_unet(unet, known_unit())


def test_the_docstring_shows_the_adapter_that_is_tested() -> None:
    doc = "".join((cn.register_adapter.__doc__ or "").split())
    for line in ("x,t,text=args", "found=on_call(x,t,text,None)", "block.extra=extra"):
        assert line in doc


def test_an_unknown_model_is_refused_and_the_message_says_what_to_give() -> None:
    with pytest.raises(TypeError, match=r"pipe\.unet"):
        cn.patch_unet(nn.Linear(2, 2), known_unit())
