"""diffusers' format: its names of the layers, in a file or in a folder with a config.json."""

from torch import Tensor

from ...controlnet import ControlNet
from ..diffusers_config import config_json
from ..diffusers_names import from_ldm, to_ldm
from ..wrappers import plain_weights
from .format import Format, Weights, has


def _write(net: ControlNet, base: Weights) -> dict[str, Tensor]:
    weights = plain_weights(net)
    names = from_ldm(weights.keys(), net.config)
    return {names[key]: tensor for key, tensor in weights.items()}


DIFFUSERS = Format(
    "diffusers",
    has("controlnet_cond_embedding.conv_in.weight"),
    to_ldm,
    write=_write,
    folder_config=config_json,
)
