"""Identifies checkpoints that are not ControlNets for Stable Diffusion (LoRAs, T2I-Adapters, base models …).

An ordered table of predicates on keys, specific before broad.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .shapes import Keys
from .wrappers import control_prefixes


@dataclass(frozen=True)
class Kind:
    """A kind of file: what it is, what to do with it, how to recognise it."""

    what: str
    advice: str
    matches: Callable[[Keys], bool]


def _start(*beginnings: str) -> Callable[[Keys], bool]:
    return lambda keys: any(key.startswith(beginnings) for key in keys)


def _inside(*parts: str) -> Callable[[Keys], bool]:
    return lambda keys: any(part in key for key in keys for part in parts)


def _all(*names: str) -> Callable[[Keys], bool]:
    return lambda keys: all(name in keys for name in names)


_NOT_SD = "it controls another architecture than Stable Diffusion's UNet; use it with that model's own nodes"
#: Kinds that our ComfyUI node takes from ComfyUI's loader.
_IN_COMFYUI = "in ComfyUI load it with Load ControlNet Model and connect it to Apply ControlNet (to the model)"
_OTHER_MODEL = f"it controls another model than Stable Diffusion; {_IN_COMFYUI}"
_LORA = "load it with a LoRA loader"
_MODEL = "move it to the base models, and choose a ControlNet file here"

#: Before every key of a LoRA of a ControlNet, so that no loader takes it for a whole net.
LORA_PREFIX = "cnet_lora."

#: Kinds that also have a ControlNet's keys, so they are checked before the formats.
LOOKALIKES = (
    Kind(
        "a LoRA of a ControlNet",
        "make it whole with the ControlNet that it was trained on: `cnet merge CONTROLNET LORA OUT`",
        _start(LORA_PREFIX),
    ),
    Kind(
        "a ControlNet-XS",
        "it is wired into the UNet's encoder in its own way; use it with diffusers",
        _inside("dec_zero_convs_out", "ctrl_to_base", "control_to_base_for_conv_in"),
    ),
    Kind(
        "a SparseCtrl",
        "it controls AnimateDiff; use it with its nodes",
        _inside("motion_modules."),
    ),
    Kind(
        "a CtrLoRA",
        "use its own loader, which knows the net it belongs to",
        _inside(".lora_layer."),
    ),
    Kind(
        "a file of several ControlNets",
        "save each of them to a file of its own",
        lambda keys: len(control_prefixes(keys)) > 1,
    ),
)
KINDS = (
    Kind("a ControlNet-LLLite", "use it with LLLite's own nodes", _start("lllite_")),
    Kind("an IP-Adapter", "use it with an IP-Adapter loader", _start("image_proj.", "ip_adapter.")),
    Kind(
        "a T2I-Adapter",
        f"it adds to the UNet's encoder and has no copy of it; {_IN_COMFYUI}",
        _start("adapter.", "body.0."),
    ),
    Kind(
        "a Qwen-Image ControlNet",
        _OTHER_MODEL,
        lambda keys: (
            "controlnet_x_embedder.weight" in keys
            and _start("txt_norm.", "transformer_blocks.0.img_mlp.")(keys)
        ),
    ),
    Kind(
        "a Qwen-Image Fun ControlNet",
        _OTHER_MODEL,
        _all("control_blocks.0.after_proj.weight", "control_img_in.weight"),
    ),
    Kind("a HunyuanDiT ControlNet", _OTHER_MODEL, _start("after_proj_list.")),
    Kind("a Stable Cascade ControlNet", _NOT_SD, _start("backbone.0.", "backbone.10.")),
    Kind(
        "a Flux ControlNet",
        _OTHER_MODEL,
        lambda keys: (
            _inside("controlnet_blocks.", "controlnet_single_blocks.")(keys)
            and _start("double_blocks.", "single_transformer_blocks.", "controlnet_x_embedder.")(
                keys
            )
        ),
    ),
    Kind(
        "an SD3.5 ControlNet",
        _OTHER_MODEL,
        _all("pos_embed_input.proj.weight", "transformer_blocks.0.adaLN_modulation.1.bias"),
    ),
    Kind(
        "an SD3 ControlNet",
        _OTHER_MODEL,
        lambda keys: "controlnet_blocks.0.weight" in keys and _start("pos_embed_input.")(keys),
    ),
    Kind(
        "a ControlNet of a diffusion transformer",
        _NOT_SD,
        _start("controlnet_blocks.", "control_blocks.", "control_img_in."),
    ),
    Kind(
        "a LoRA",
        _LORA,
        _inside(
            *("lora_up.", "lora_down.", ".lora_A.", ".lora_B.", ".lora.up.", "_lora.up."),
            *(".hada_w1_a", ".lokr_", ".oft_blocks"),
        ),
    ),
    Kind(
        "a full Stable Diffusion checkpoint without a ControlNet",
        _MODEL,
        _start("model.diffusion_model.input_blocks."),
    ),
    Kind("a full checkpoint of another architecture", _MODEL, _start("model.diffusion_model.")),
    Kind("a Flux model", _MODEL, _start("double_blocks.", "single_transformer_blocks.")),
    Kind("an SD3 model", _MODEL, _start("joint_blocks.", "pos_embed.")),
    Kind(
        "a UNet without a ControlNet",
        _MODEL,
        lambda keys: _start("output_blocks.", "up_blocks.")(keys) and _start("time_embed")(keys),
    ),
    Kind(
        "a VAE",
        "load it with a VAE loader",
        lambda keys: (
            _start("first_stage_model.")(keys)
            or _all("encoder.conv_in.weight", "decoder.conv_out.weight")(keys)
        ),
    ),
    Kind(
        "a text encoder",
        "load it with a CLIP loader",
        _start("text_model.", "cond_stage_model.", "transformer.text_model."),
    ),
    Kind(
        "a textual inversion embedding",
        "move it to the embeddings",
        lambda keys: bool(set(keys) & {"emb_params", "clip_l", "clip_g", "string_to_param"}),
    ),
    Kind(
        "an upscaler",
        "load it with an upscale model loader",
        _all("conv_first.weight", "conv_last.weight"),
    ),
)
UNKNOWN = Kind("a file of an unknown kind", "choose a ControlNet file", lambda _: True)


def lookalike(keys: Keys) -> Kind | None:
    """Returns the kind of a file that has a ControlNet's keys but is not one, or None."""
    return next((kind for kind in LOOKALIKES if kind.matches(keys)), None)


def kind_of(keys: Keys) -> Kind:
    """Returns the kind of a file that has no ControlNet format."""
    return next(kind for kind in (*KINDS, UNKNOWN) if kind.matches(keys))
