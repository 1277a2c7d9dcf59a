"""Makes the key -> shape tables in this folder from the public classes that the published files were saved from.

    python tests/keys/make_tables.py COMFYUI_FOLDER        # needs diffusers and a ComfyUI

No header of a published file was at hand. Each table says the class and the published config that it comes from, and
how far it was compared with the file itself: for most, the file that the table implies has the published one's size to
the byte, its header included (tests/core/checkpoints/test_published_sizes.py).
"""

import json
import sys
from pathlib import Path

import torch
from diffusers import ControlNetModel, ControlNetUnionModel

HERE = Path(__file__).parent
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
from comfy.cldm.cldm import ControlNet  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402

SD = {
    "image_size": 32,
    "in_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": (1, 2, 4, 4),
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "use_spatial_transformer": True,
    "legacy": False,
}
SD15 = {**SD, "num_heads": 8, "context_dim": 768}
SD21 = {**SD, "num_head_channels": 64, "context_dim": 1024, "use_linear_in_transformer": True}
XL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "conditioning_embedding_out_channels": (16, 32, 96, 256),
}
DOWN = "DownBlock2D"
XL_MID = {
    **XL,
    "down_block_types": (DOWN, DOWN, "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 1, 1),
}
XL_SMALL = {
    **XL,
    "down_block_types": (DOWN, DOWN, DOWN),
    "transformer_layers_per_block": (0, 0, 0),
}
#: Layers that Control-LoRAs keep whole.
WHOLE = ("input_hint_block.", "zero_convs.", "middle_block_out.")

Shapes = dict[str, list[int]]


def ldm(config: dict, prefix: str = "", cls: type = ControlNet, **more: object) -> Shapes:
    module = cls(**config, **more, device=torch.device("meta"), dtype=torch.float32)
    return {prefix + key: list(v.shape) for key, v in module.state_dict().items()}


def diffusers(config: dict, cls: type = ControlNetModel) -> Shapes:
    with torch.device("meta"):
        module = cls(**config)
    return {key: list(v.shape) for key, v in module.state_dict().items()}


def control_lora(rank: int) -> Shapes:
    config = {
        **SD,
        "channel_mult": (1, 2, 4),
        "num_res_blocks": [2, 2, 2],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_middle": 10,
        "num_head_channels": 64,
        "context_dim": 2048,
        "use_linear_in_transformer": True,
        "num_classes": "sequential",
        "adm_in_channels": 2816,
    }
    found: Shapes = {"lora_controlnet": [0]}
    for key, shape in ldm(config, hint_channels=3).items():
        layer = key.removesuffix(".weight")
        if key.startswith(WHOLE) or len(shape) == 1:
            found[key] = shape
        else:
            low = min(rank, shape[0], shape[1])  # so the first conv's is 4, its input channels
            found[f"{layer}.up"] = [shape[0], low, *[1] * (len(shape) - 2)]
            found[f"{layer}.down"] = [low, *shape[1:]]
    return found


def write(name: str, source: str, tensors: Shapes) -> None:
    parameters = sum(torch.Size(shape).numel() for shape in tensors.values())
    print(f"{name}: {len(tensors)} tensors, {parameters / 1e6:.1f} M")
    lines = ",\n".join(f"{json.dumps(key)}: {shape}" for key, shape in tensors.items())
    text = f'{{"source": {json.dumps(source)},\n"tensors": {{\n{lines}\n}}}}\n'
    (HERE / f"{name}.json").write_text(text)


CM = "control_model."
SD15_LDM = ldm(SD15, CM, hint_channels=3)
write(
    "sd15_v10_full",
    "control_sd15_canny.pth (lllyasviel/ControlNet, 2023): ControlNet and UNet, by the classes of cldm_v15.yaml; "
    "VAE and text encoder left out; not compared with a file",
    SD15_LDM
    | ldm(
        SD15,
        "model.diffusion_model.",
        UNetModel,
        out_channels=4,
        transformer_depth_output=[1] * 9 + [0] * 3,
    ),
)
write(
    "sd15_v11",
    "control_v11p_sd15_canny.pth (lllyasviel/ControlNet-v1-1), by the class of its yaml; a public printout of that "
    "file's keys and shapes has the same lines, and the fp16 files of comfyanonymous the size this table implies",
    SD15_LDM,
)
write(
    "sd15_difference",
    "control_sd15_canny_fp16 as a difference (kohya-ss/ControlNet-diff-modules): the same keys and a marker; "
    "not compared with a file",
    {"difference": [0], **SD15_LDM},
)
write(
    "sd21_diffusers",
    "thibaud/controlnet-sd21-canny-diffusers, by diffusers' ControlNetModel with its config.json; not compared "
    "with a file",
    diffusers(
        {
            "cross_attention_dim": 1024,
            "attention_head_dim": (5, 10, 20, 20),
            "use_linear_projection": True,
        }
    ),
)
write(
    "sd21",
    "control_v11p_sd21_canny (thibaud), by the class of cldm_v21.yaml; not compared with a file",
    ldm(SD21, CM, hint_channels=3),
)
COMPARED = {
    "full": "other files of this class have the size this table implies",
    "mid": "not compared with a file",
    "small": "the fp16 file has the 140 tensors and the size this table implies",
}
for size, config in (("full", XL), ("mid", XL_MID), ("small", XL_SMALL)):
    suffix = "" if size == "full" else f"-{size}"
    write(
        f"sdxl_{size}",
        f"diffusers/controlnet-canny-sdxl-1.0{suffix}, by diffusers' ControlNetModel with its config.json; "
        f"{COMPARED[size]}",
        diffusers(config),
    )
for types, name in ((6, "controlnet-union-sdxl-1.0"), (8, "controlnet-union-sdxl-1.0 promax")):
    write(
        f"sdxl_union_{types}",
        f"xinsir/{name}, by diffusers' ControlNetUnionModel with its config.json; the file has the "
        "size this table implies",
        diffusers({**XL, "num_control_type": types}, ControlNetUnionModel),
    )
for rank in (128, 256):
    write(
        f"control_lora_{rank}",
        f"stabilityai/control-lora rank {rank}, by the class of SDXL's ControlNet and the ranks that a public "
        "loader demands of the published file; its metadata is unknown, so its size could not be compared to the byte",
        control_lora(rank),
    )
