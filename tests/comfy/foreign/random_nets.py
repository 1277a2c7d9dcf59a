"""Random weights for models and control nets of ComfyUI's classes."""

from typing import Any

import comfy.controlnet
import comfy.model_patcher
import comfy.ops
import torch
from torch import nn

CPU = torch.device("cpu")
LAYERS = {"dtype": torch.float32, "device": CPU, "operations": comfy.ops.disable_weight_init}


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


def control_net(
    model: nn.Module, latent_format: Any, kind: Any = comfy.controlnet.ControlNet, **more: Any
) -> Any:
    """Returns a CONTROL_NET whose hint goes through a VAE where it has a latent format."""
    ratio = {} if latent_format is None else {"compression_ratio": 1}
    device = {"load_device": CPU, "latent_format": latent_format}
    return kind(randomise(model, 2, 1.0), **device, **ratio, **more)
