"""Tiny random models and control nets of ComfyUI's real classes, with the block counts of the released ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import comfy.cldm.dit_embedder
import comfy.cldm.mmdit
import comfy.controlnet
import comfy.latent_formats
import comfy.ldm.flux.controlnet
import comfy.ldm.hydit.controlnet
import comfy.ldm.qwen_image.controlnet
import comfy.model_base
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy.t2i_adapter.adapter
import torch
from comfy.ldm.chroma.model import ChromaParams
from torch import Tensor, nn

CPU = torch.device("cpu")
LAYERS = {"dtype": torch.float32, "device": CPU, "operations": comfy.ops.disable_weight_init}
HAS_FUN = hasattr(comfy.ldm.qwen_image.controlnet, "QwenImageFunControlNetModel")


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


def randomise(net: nn.Module, seed: int, gain: float = 0.7) -> nn.Module:
    """Draws all weights from a seed."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in [*net.named_parameters(), *net.named_buffers()]:
            if not parameter.is_floating_point():
                continue
            scale = parameter.dim() == 1 and (name.endswith("weight") or name.endswith("scale"))
            fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 100
            noise = torch.randn(parameter.shape, generator=numbers) * gain / fan_in**0.5
            parameter.copy_((1.0 if scale else 0.0) + noise)
    return net.requires_grad_(False)


def patcher(config: Any, seed: int = 1, model: Any = None) -> Any:
    """Returns the MODEL of a config of ComfyUI's."""
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", CPU) if model is None else model(config)
    randomise(model.diffusion_model, seed)
    return comfy.model_patcher.ModelPatcher(model, CPU, CPU)


def unet(mult: tuple[int, ...], depths: tuple[int, ...], **more: Any) -> dict[str, Any]:
    """Returns the arguments of a UNet, 32 channels wide at the top."""
    return {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "channel_mult": list(mult),
        "num_res_blocks": [2] * len(mult),
        "num_heads": -1,
        "num_head_channels": 32,
        "transformer_depth": [d for d in depths for _ in range(2)],
        "transformer_depth_output": [d for d in depths for _ in range(3)],
        "transformer_depth_middle": depths[-1] or 1,
        "context_dim": 16,
        "use_spatial_transformer": True,
        "legacy": False,
        **more,
    }


class _SD15(comfy.supported_models.SD15):
    unet_extra_config: ClassVar[dict[str, Any]] = {}


class _SDXL(comfy.supported_models.SDXL):
    unet_extra_config: ClassVar[dict[str, Any]] = {}


class _WithVector(comfy.model_base.BaseModel):
    def encode_adm(self, **kwargs: Any) -> Tensor:
        return kwargs["pooled_output"]


def sd15() -> Any:
    """Stable Diffusion 1.5."""
    return patcher(_SD15(unet((1, 2, 2, 2), (1, 1, 1, 0))), model=comfy.model_base.BaseModel)


def sdxl() -> Any:
    """SDXL."""
    vector = {"adm_in_channels": 8, "num_classes": "sequential"}
    return patcher(_SDXL(unet((1, 2, 2), (0, 1, 1), **vector)), model=_WithVector)


def t2i(light: bool = False, xl: bool = False) -> Any:
    """A T2I-Adapter."""
    channels, cin = [32, 64, 64, 64], 3 * (16 if xl else 8) ** 2
    adapter = comfy.t2i_adapter.adapter
    net = (
        adapter.Adapter_light(cin=cin, channels=channels, nums_rb=4)
        if light
        else adapter.Adapter(channels, 2, cin, ksize=1, sk=True, use_conv=False, xl=xl)
    )
    return comfy.controlnet.T2IAdapter(
        randomise(net, 2, 1.5), net.input_channels, 8, "nearest-exact"
    )


def control_net(
    model: nn.Module, latent_format: Any, kind: Any = comfy.controlnet.ControlNet, **more: Any
) -> Any:
    """Returns a CONTROL_NET whose hint goes through a VAE where it has a latent format."""
    ratio = {} if latent_format is None else {"compression_ratio": 1}
    device = {"load_device": CPU, "latent_format": latent_format}
    return kind(randomise(model, 2, 1.0), **device, **ratio, **more)


SD3 = {
    "in_channels": 16,
    "patch_size": 2,
    "depth": 4,
    "input_size": None,
    "adm_in_channels": 2048,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": 32, "out_features": 256},
    },
    "num_patches": 1024,
    "pos_embed_max_size": 32,
    "pos_embed_scaling_factor": None,
}


def sd3() -> Any:
    """SD3, as SD3.5 is to ComfyUI too."""
    return patcher(comfy.supported_models.SD3({**SD3, "out_channels": 16}))


def short_sd3() -> Any:
    """An SD3 with two of its four blocks."""
    return patcher(comfy.supported_models.SD3({**SD3, "out_channels": 16, "num_blocks": 2}))


def auraflow() -> Any:
    """AuraFlow, which takes no control."""
    shape = {"dim": 32, "n_heads": 2, "n_layers": 2, "n_double_layers": 1, "cond_seq_dim": 16}
    return patcher(comfy.supported_models.AuraFlow(shape))


def sd3_net(inpaint: bool = False) -> Any:
    """A ControlNet for SD3 as diffusers stores it."""
    channels = 17 if inpaint else None
    net = comfy.cldm.mmdit.ControlNet(2, control_latent_channels=channels, **SD3, **LAYERS)
    form = comfy.latent_formats.SD3()
    form.shift_factor = 0
    return control_net(net, form, concat_mask=inpaint)


def sd35_net() -> Any:
    """A ControlNet for SD3.5 Large of Stability's."""
    net = comfy.cldm.dit_embedder.ControlNetEmbedder(
        img_size=None,
        patch_size=2,
        in_chans=16,
        num_layers=2,
        main_model_double=4,
        double_y_emb=True,
        attention_head_dim=64,
        num_attention_heads=4,
        adm_in_channels=2048,
        **LAYERS,
    )
    kind = comfy.controlnet.ControlNetSD35
    return control_net(net, comfy.latent_formats.SD3(), kind)


FLUX = {
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 32,
    "context_in_dim": 32,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
}
try:
    from comfy.ldm.flux.model import FluxParams

    if "txt_ids_dims" in FluxParams.__dataclass_fields__:
        FLUX["txt_ids_dims"] = []
except ImportError:
    pass


def flux(depth: int = 19, singles: int = 38) -> Any:
    """Flux dev."""
    shape = {"depth": depth, "depth_single_blocks": singles, "image_model": "flux"}
    return patcher(comfy.supported_models.Flux({**FLUX, **shape}))


def flux_net(depth: int, singles: int, **more: Any) -> nn.Module:
    """ComfyUI's module of a ControlNet for Flux."""
    shape = {"depth": depth, "depth_single_blocks": singles}
    return comfy.ldm.flux.controlnet.ControlNetFlux(**more, **FLUX, **shape, **LAYERS)


def flux_instantx(union: int = 0, inpaint: bool = False) -> Any:
    """A ControlNet for Flux of InstantX's, or alimama's for inpainting."""
    channels, singles = (17, 0) if inpaint else (16, 10)
    net = flux_net(
        5, singles, latent_input=True, num_union_modes=union, control_latent_channels=channels
    )
    extra = {"extra_conds": ["y", "guidance"], "concat_mask": inpaint}
    return control_net(net, comfy.latent_formats.Flux(), **extra)


def flux_xlabs() -> Any:
    """A ControlNet for Flux of XLabs'."""
    return control_net(flux_net(2, 0), None, extra_conds=["y", "guidance"])


def chroma() -> Any:
    """Chroma: Flux's blocks."""
    shape = {"depth": 19, "depth_single_blocks": 38, "image_model": "chroma"}
    own = {"in_dim": 64, "out_dim": 32, "hidden_dim": 32, "n_layers": 2, "in_channels": 64}
    kept = {k: FLUX[k] for k in FLUX if k in ChromaParams.__dataclass_fields__}
    return patcher(comfy.supported_models.Chroma({**kept, **shape, **own, "out_channels": 64}))


QWEN = {
    "in_channels": 64,
    "out_channels": 16,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "axes_dims_rope": (4, 6, 6),
}


def qwen() -> Any:
    """Qwen-Image."""
    shape = {"num_layers": 60, "image_model": "qwen_image"}
    return patcher(comfy.supported_models.QwenImage({**QWEN, **shape}))


def qwen_instantx(inpaint: bool = False) -> Any:
    """A ControlNet for Qwen-Image of InstantX's."""
    net = comfy.ldm.qwen_image.controlnet.QwenImageControlNetModel(
        extra_condition_channels=4 if inpaint else 0, num_layers=5, **QWEN, **LAYERS
    )
    form = comfy.latent_formats.Wan21()
    return control_net(net, form, extra_conds=[], concat_mask=inpaint)


def qwen_fun() -> Any:
    """A ControlNet of Qwen-Image Fun, which runs layers of the model too."""
    net = comfy.ldm.qwen_image.controlnet.QwenImageFunControlNetModel(
        inner_dim=32, num_attention_heads=2, attention_head_dim=16, **LAYERS
    )
    kind = comfy.controlnet.QwenFunControlNet
    return control_net(net, comfy.latent_formats.Wan21(), kind, extra_conds=[])


HUNYUAN = {
    "hidden_size": 32,
    "num_heads": 2,
    "mlp_ratio": 2.0,
    "text_states_dim": 32,
    "text_states_dim_t5": 64,
    "text_len": 7,
    "text_len_t5": 8,
    "depth": 40,
}


def hunyuan() -> Any:
    """HunyuanDiT."""
    config = {**HUNYUAN, "image_model": "hydit", "size_cond": True, "use_style_cond": True}
    config.update(size_cond=False, use_style_cond=False)
    return patcher(comfy.supported_models.HunyuanDiT(config))


def hunyuan_net() -> Any:
    """A ControlNet for HunyuanDiT."""
    net = comfy.ldm.hydit.controlnet.HunYuanControlNet(**HUNYUAN, **LAYERS)
    names = ["text_embedding_mask", "encoder_hidden_states_t5", "text_embedding_mask_t5"]
    names += ["image_meta_size", "style", "cos_cis_img", "sin_cis_img"]
    return control_net(net, comfy.latent_formats.SDXL(), extra_conds=names)


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
