"""Pairs of a tiny random model and a control net, with the block counts of the released ones, and what they need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from flux_nets import chroma, flux, flux_instantx, flux_xlabs
from hunyuan_nets import hunyuan, hunyuan_net
from qwen_nets import HAS_FUN, qwen, qwen_fun, qwen_instantx
from sd3_nets import auraflow, sd3, sd3_net, sd35_net, short_sd3
from sd_nets import sd15, sdxl, t2i
from torch import Tensor, nn


@dataclass(frozen=True)
class Family:
    """A model and a control net for it."""

    model: Callable[[], Any]  # a MODEL
    net: Callable[[], Any]  # a CONTROL_NET
    text: int  # width of the text embeddings
    #: Own block, from detail to layout -> its entries in the control.
    entries: tuple[tuple[tuple[str, int], ...], ...]
    channels: int = 4
    pooled: int = 0
    latents: bool = False  # whether the hint goes through a VAE
    inpaint: bool = False
    extras: Mapping[str, Any] = field(default_factory=dict)  # of the conditioning
    tokens: int = 7
    frames: bool = False  # latents (B, C, 1, h, w)


def conditioning(family: Family, seed: int) -> list[Any]:
    """Returns a random CONDITIONING."""
    numbers = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=numbers)

    extras = {
        name: draw(*value) if isinstance(value, tuple) else value
        for name, value in family.extras.items()
    }
    if family.pooled:
        extras["pooled_output"] = draw(1, family.pooled)
    return [[draw(1, family.tokens, family.text), extras]]


class Vae:
    """Stands in for a VAE: latents are averages of pixels in random mixtures of their colours."""

    def __init__(self, family: Family) -> None:
        mix = torch.randn(family.channels, 3, generator=torch.Generator().manual_seed(3))
        self._mix, self._frames = mix, family.frames
        self.encoded = 0

    def spacial_compression_encode(self) -> int:
        """As ComfyUI's VAE."""
        return 8

    def encode(self, pixels: Tensor) -> Tensor:
        """As ComfyUI's VAE: (N, H, W, C) to latents."""
        self.encoded += 1
        small = nn.functional.avg_pool2d(pixels[..., :3].movedim(-1, 1), 8)
        found = torch.einsum("kc,nchw->nkhw", self._mix, small)
        return found[:, :, None] if self._frames else found


def _tokens(key: str, owners: int, count: int, cyclic: bool = False) -> list[Any]:
    """Returns the entries of each own block that repeats over `count` places, in the model's order."""
    repeat = -(-count // owners)
    owner = [i % owners if cyclic else i // repeat for i in range(count)]
    return [tuple((key, i) for i in range(count) if owner[i] == own) for own in range(owners)]


_MASK = torch.ones(1, 7)
_HUNYUAN_TEXT = {
    "attention_mask": _MASK,
    "conditioning_mt5xl": (1, 8, 64),
    "attention_mask_mt5xl": torch.ones(1, 8),
}
_FLUX = {"text": 32, "channels": 16, "pooled": 32}
_SD15_T2I = tuple((("input", i),) for i in (9, 6, 3, 0))
_SD3_INPUT = {"text": 32, "channels": 16, "pooled": 2048, "latents": True}
_QWEN = {"text": 32, "channels": 16, "latents": True, "frames": True}

#: Own blocks go from detail to layout: of transformers the last first.
FAMILIES: dict[str, Family] = {
    "T2I SD1.5 full": Family(sd15, t2i, 16, _SD15_T2I),
    "T2I SD1.5 light": Family(sd15, lambda: t2i(light=True), 16, _SD15_T2I),
    "T2I SDXL": Family(
        sdxl,
        lambda: t2i(xl=True),
        16,
        ((("input", 6),), (("input", 4),), (("input", 1),), (("middle", 0),)),
        pooled=8,
    ),
    "SD3.5": Family(sd3, sd35_net, entries=tuple(_tokens("output", 2, 4)[::-1]), **_SD3_INPUT),
    "SD3": Family(
        sd3,
        sd3_net,
        entries=((("output", 2),), (("output", 0), ("output", 1))),
        **_SD3_INPUT,
    ),
    "SD3 inpaint": Family(
        sd3,
        lambda: sd3_net(inpaint=True),
        entries=((("output", 2),), (("output", 0), ("output", 1))),
        inpaint=True,
        **_SD3_INPUT,
    ),
    "Flux InstantX": Family(
        flux,
        lambda: flux_instantx(union=4),
        entries=tuple([*_tokens("input", 5, 19), *_tokens("output", 10, 38)][::-1]),
        latents=True,
        **_FLUX,
    ),
    "Flux XLabs": Family(
        flux, flux_xlabs, entries=tuple(_tokens("input", 2, 19, cyclic=True)[::-1]), **_FLUX
    ),
    "Flux inpaint": Family(
        flux,
        lambda: flux_instantx(inpaint=True),
        entries=tuple(_tokens("input", 5, 19)[::-1]),
        latents=True,
        inpaint=True,
        **_FLUX,
    ),
    "Chroma": Family(
        chroma, flux_xlabs, entries=tuple(_tokens("input", 2, 19, True)[::-1]), **_FLUX
    ),
    "Qwen InstantX": Family(
        qwen, qwen_instantx, entries=tuple(_tokens("input", 5, 60)[::-1]), **_QWEN
    ),
    "HunyuanDiT": Family(
        hunyuan,
        hunyuan_net,
        32,
        tuple((("output", i),) for i in range(19)),
        latents=True,
        extras=_HUNYUAN_TEXT,
    ),
}
if HAS_FUN:
    FAMILIES["Qwen Fun"] = Family(
        qwen,
        qwen_fun,
        entries=tuple((("input", i),) for i in (48, 36, 24, 12, 0)),
        **_QWEN,
    )

#: Pairs that do not fit: a model, and the family whose net is put on it; how native control loses it.
MISMATCHES: dict[str, tuple[Callable[[], Any], str]] = {
    "SD1.5's adapter on SDXL": (sdxl, "T2I SD1.5 full"),
    "SDXL's adapter on SD1.5": (sd15, "T2I SDXL"),
    "Flux's net on a smaller Flux": (lambda: flux(8, 24), "Flux InstantX"),
    "SD3.5's net on fewer blocks": (short_sd3, "SD3.5"),
    "a model without control": (auraflow, "T2I SD1.5 full"),
}

__all__ = ["FAMILIES", "MISMATCHES", "Family", "Vae", "conditioning", "sdxl"]
