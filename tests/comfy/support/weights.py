"""Random ControlNet files, and the UNets that go with them, narrow enough for a CPU."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from graphs import Family
from safetensors.torch import save_file

import cnet_core as cn

#: SD1.5 in its 13 blocks, with heads 64 wide, which is what ComfyUI takes for widths it does not know.
SD15 = cn.UNetConfig(
    model_channels=64,
    channel_mult=(1, 1, 1, 1),
    context_dim=768,
    num_heads=None,
    head_dim=64,
)
SDXL = cn.UNetConfig(
    model_channels=64,
    channel_mult=(1, 2, 2),
    transformer_depth=(0, 1, 2),
    middle_depth=2,
    context_dim=2048,
    num_heads=None,
    head_dim=64,
    linear_proj=True,
    y_dim=2816,
)

#: As SD15, with SD1.5's own steps in width, which FreeU goes by.
WIDENING = replace(SD15, channel_mult=(1, 2, 4, 4))

#: As SDXL, with SDXL's own steps in width, which a T2I-Adapter has too.
WIDENING_SDXL = replace(SDXL, channel_mult=(1, 2, 4))

Net = TypeVar("Net", bound=torch.nn.Module)

#: With it the hint keeps its variance through the hint encoder; with less, no test would see which hint it was.
HINT_GAIN = 2.5

#: File -> (config, seed of the weights).
FILES = {
    "sd15.safetensors": (SD15, 1),
    "sd15_shuffle.safetensors": (SD15, 13),  # by its name ComfyUI pools it
    "sd15_other.safetensors": (SD15, 2),
    "sdxl.safetensors": (SDXL, 3),
    "widening.safetensors": (WIDENING, 5),
}


def family(config: cn.UNetConfig) -> Family:
    """Returns ComfyUI's arguments for a UNet of this config."""
    blocks = config.num_res_blocks
    vector = (
        {}
        if config.y_dim is None
        else {"adm_in_channels": config.y_dim, "num_classes": "sequential"}
    )
    arguments = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": config.model_channels,
        "channel_mult": list(config.channel_mult),
        "num_res_blocks": [blocks] * len(config.channel_mult),
        "num_heads": -1,
        "num_head_channels": 64,
        "transformer_depth": [d for d in config.transformer_depth for _ in range(blocks)],
        "transformer_depth_output": [
            d for d in config.transformer_depth for _ in range(blocks + 1)
        ],
        "transformer_depth_middle": config.middle_depth,
        "context_dim": config.context_dim,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": config.linear_proj,
        "legacy": False,
        **vector,
    }
    return Family(arguments, config.context_dim, config.y_dim or 0)


def random_net(config: cn.UNetConfig, seed: int) -> cn.ControlNet:
    """Returns a ControlNet whose every weight is random, zero convs included, and whose features keep their size."""
    return randomised(cn.ControlNet(config), seed)


def randomised(net: Net, seed: int) -> Net:
    """Returns a net with new random weights."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            centre = 1.0 if parameter.dim() == 1 and name.endswith("weight") else 0.0
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
            noise = torch.randn(parameter.shape, generator=generator)
            gain = HINT_GAIN if name.startswith("input_hint_block") else 0.7
            parameter.copy_(centre + noise * gain / fan_in**0.5)
    return net


def write_lora(path: Path) -> None:
    """Writes a random LoRA for two layers of the UNet's middle."""
    generator = torch.Generator().manual_seed(8)
    tensors = {}
    for layer in ("attn1_to_v", "attn1_to_out_0"):
        key = f"lora_unet_middle_block_1_transformer_blocks_0_{layer}"
        tensors[f"{key}.lora_down.weight"] = torch.randn(
            4, SD15.model_channels, generator=generator
        )
        tensors[f"{key}.lora_up.weight"] = torch.randn(SD15.model_channels, 4, generator=generator)
    save_file(tensors, path)


def write_hypernetwork(path: Path) -> None:
    """Writes a random hypernetwork for the keys and values of all attentions."""
    generator = torch.Generator().manual_seed(9)
    tensors = {}
    for width in (SD15.model_channels, SD15.context_dim):
        weights = torch.randn(2, width, width, generator=generator) / width**0.5
        tensors[width] = [{"linear.weight": w, "linear.bias": torch.zeros(width)} for w in weights]
    torch.save(tensors, path)


def write_models(models: Path) -> None:
    """Writes all files into their folders among ComfyUI's models."""
    for folder in ("controlnet", "loras", "hypernetworks"):
        (models / folder).mkdir(parents=True)
    write_lora(models / "loras/random.safetensors")
    write_hypernetwork(models / "hypernetworks/random.pt")
    write_control_nets(models / "controlnet")


def write_control_nets(folder: Path) -> None:
    """Writes the files, a Union, and a ControlNet that is not trained yet."""
    for name, (config, seed) in FILES.items():
        cn.save_controlnet(random_net(config, seed), folder / name)
    union = randomised(cn.UnionControlNet(SDXL, num_types=6), 6)
    cn.save_controlnet(union, folder / "union.safetensors")
    fresh = cn.ControlNet.from_unet(randomised(cn.UNet(SD15), 4))
    cn.save_controlnet(fresh, folder / "fresh.safetensors")
