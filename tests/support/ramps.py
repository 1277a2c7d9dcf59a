"""Weights and inputs that do not depend on torch's generators: NumPy's RandomState, whose stream is frozen."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn

#: The tiny Stable Diffusion 1.x of the golden numbers, in ldm's arguments and for cnet_core.UNetConfig.
LDM_SHAPE = {
    "in_channels": 4,
    "model_channels": 32,
    "channel_mult": (1, 2, 2, 2),
    "num_res_blocks": 2,
    "num_heads": 4,
    "context_dim": 16,
}
CONFIG = {name: LDM_SHAPE[name] for name in LDM_SHAPE if name != "num_res_blocks"}
#: Standard deviation of every weight.
STD = 0.06


def noise(name: str, *shape: int) -> Tensor:
    """Normal numbers, the same for the same name and shape anywhere."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    return torch.from_numpy(values).float()


def fill(module: nn.Module, prefix: str) -> nn.Module:
    """Sets every weight from its key, so that two implementations with equal keys become equal."""
    weights = {k: STD * noise(f"{prefix}.{k}", *v.shape) for k, v in module.state_dict().items()}
    module.load_state_dict(weights)
    return module.requires_grad_(False)


def inputs() -> dict[str, Tensor]:
    """Latents, text of both branches, and a hint of 64 x 128 pixels."""
    return {
        "x": noise("x", 1, 4, 16, 8),
        "cond": noise("cond", 1, 7, 16),
        "uncond": noise("uncond", 1, 7, 16),
        "hint": noise("hint", 1, 3, 128, 64).sigmoid(),
    }
