"""The narrow SDXL of Stability's golden numbers: its shape in sgm's arguments and in ours, and a call."""

from ramps import noise
from torch import Tensor

import cnet_core as cn

#: sgm's arguments for SDXL's UNet (configs/inference/sd_xl_base.yaml), 32 channels for 320, depth 3 for 10.
SGM_SHAPE = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": 2,
    "attention_resolutions": [4, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth": [1, 2, 3],
    "num_head_channels": 16,
    "context_dim": 24,
    "use_linear_in_transformer": True,
    "num_classes": "sequential",
    "adm_in_channels": 20,
}
#: The same shape. sgm has no attention at the first level, whatever depth it is given there.
CONFIG = cn.UNetConfig(
    model_channels=32,
    channel_mult=(1, 2, 4),
    transformer_depth=(0, 2, 3),
    middle_depth=3,
    context_dim=24,
    num_heads=None,
    head_dim=16,
    linear_proj=True,
    y_dim=20,
)


def call() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, timesteps, context and y: a row of uncond and one of cond."""
    x = noise("sgm.x", 1, 4, 12, 8).repeat(2, 1, 1, 1)
    timesteps = noise("sgm.t", 1).sigmoid().mul(999).repeat(2)
    return x, timesteps, noise("sgm.context", 2, 7, 24), noise("sgm.y", 2, 20)


def hint() -> Tensor:
    """(1, 3, 96, 64), 0..1."""
    return noise("sgm.hint", 1, 3, 96, 64).sigmoid()
