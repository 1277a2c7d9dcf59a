"""Files of a LowRankControlNet, in one of two formats.

A net that began as a copy of its UNet is written as a Control-LoRA, which ComfyUI loads too. A net that began as a
ControlNet is written as a LoRA of that ControlNet: only `merge_lora` reads it, with the ControlNet that it belongs to.
"""

from pathlib import Path

import torch

from ..nets.casting import STORAGE_ONLY
from ..nets.controlnet import ControlNet
from ..nets.low_rank import LowRankControlNet
from .container.files import read_tensors, write_tensors
from .digest import weights_digest
from .foreign import LORA_PREFIX
from .formats.control_lora import MARKER, complete_low_rank
from .load import load_controlnet
from .metadata import metadata_of

#: Metadata key of the digest of the ControlNet that a LoRA belongs to.
ORIGIN_KEY = "cnet_lora_of"


def save_low_rank(net: LowRankControlNet, path: str | Path) -> None:
    """Writes what a net learned, atomically as safetensors: a Control-LoRA, or a LoRA of its ControlNet."""
    learned, metadata = net.learned, metadata_of(net)
    if net.origin is None:
        write_tensors({MARKER: torch.zeros(0), **learned}, path, metadata)
        return
    prefixed = {LORA_PREFIX + key: tensor for key, tensor in learned.items()}
    write_tensors(prefixed, path, {**metadata, ORIGIN_KEY: net.origin})


def merge_lora(control_net: str | Path, lora: str | Path) -> ControlNet:
    """Returns a ControlNet with a LoRA of it added to its weights, each in its dtype; weights in fp8 become float16.

    fp8 is coarser than most of what a LoRA changes.

    Args:
        control_net: the file or folder that the training began with, in any format that is whole.
        lora: the file that the training wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the LoRA is none, or belongs to another ControlNet.
    """
    tensors, metadata = read_tensors(lora)
    if ORIGIN_KEY not in metadata:
        raise ValueError(
            f"{lora} is not a LoRA of a ControlNet. A Control-LoRA belongs to a base model instead: `cnet convert` "
            "with `--base` makes it whole."
        )
    net = load_controlnet(control_net)
    if weights_digest(load_controlnet(control_net, dtype=torch.float32)) != metadata[ORIGIN_KEY]:
        raise ValueError(
            f"{lora} was trained on another ControlNet than {control_net}: the weights differ. Give the file that "
            "`--controlnet` named in the training."
        )
    learned = {key.removeprefix(LORA_PREFIX): tensor for key, tensor in tensors.items()}
    weights = {k: v.half() if v.dtype in STORAGE_ONLY else v for k, v in net.state_dict().items()}
    net.load_state_dict(complete_low_rank(learned, weights, str(lora)), assign=True)
    return net
