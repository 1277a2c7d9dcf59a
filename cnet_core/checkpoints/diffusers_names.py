"""diffusers' names of a ControlNet's and a UNet's encoder layers, and ldm's, both ways."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count

from ..nets.config import UNetConfig
from ..nets.controlnet import HINT_CONVS

#: Layers whose place does not depend on the config: diffusers' name -> ldm's.
FIXED = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "mid_block.attentions.0": "middle_block.1",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    **{
        f"controlnet_cond_embedding.blocks.{k}": f"input_hint_block.{2 * (k + 1)}"
        for k in range(len(HINT_CONVS) - 1)
    },
    "controlnet_cond_embedding.conv_out": f"input_hint_block.{2 * len(HINT_CONVS)}",
}
#: Layers of a residual block.
RES_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def layer_names(res_blocks: Sequence[int]) -> dict[str, str]:
    """Returns diffusers' name -> ldm's of every layer, for these numbers of residual blocks by level."""
    names = dict(FIXED)
    for j in range(2):
        names |= _res_block(f"mid_block.resnets.{j}", f"middle_block.{2 * j}")
    block = count(1)
    for level, blocks in enumerate(res_blocks):
        for j in range(blocks):
            index = next(block)
            names |= _res_block(f"down_blocks.{level}.resnets.{j}", f"input_blocks.{index}.0")
            names[f"down_blocks.{level}.attentions.{j}"] = f"input_blocks.{index}.1"
        if level != len(res_blocks) - 1:
            names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{next(block)}.0.op"
    names |= {f"controlnet_down_blocks.{k}": f"zero_convs.{k}.0" for k in range(next(block))}
    return names


def to_ldm(keys: Collection[str], more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns diffusers' key -> ldm's; keys of unknown layers keep their name.

    Args:
        more: diffusers' name -> ldm's of layers that a ControlNet does not have.
    """
    names = {**layer_names(_res_blocks(keys)), **(more or {})}
    return {key: _rename(key, names).replace(".attn.in_proj_", ".attn.in_proj.") for key in keys}


def from_ldm(keys: Iterable[str], config: UNetConfig) -> dict[str, str]:
    """Returns ldm's key -> diffusers'."""
    names = {ldm: ours for ours, ldm in layer_names([len(d) for d in config.depths]).items()}
    return {key: _rename(key, names).replace(".attn.in_proj.", ".attn.in_proj_") for key in keys}


def _res_block(ours: str, ldm: str) -> dict[str, str]:
    return {f"{ours}.{a}": f"{ldm}.{b}" for a, b in RES_BLOCK.items()}


def _res_blocks(keys: Collection[str]) -> list[int]:
    """Residual blocks by level."""
    blocks = {tuple(key.split(".")[1:4:2]) for key in keys if _is_down_resnet(key)}
    levels = next(i for i in count() if (str(i), "0") not in blocks)
    return [
        next(j for j in count() if (str(level), str(j)) not in blocks) for level in range(levels)
    ]


def _is_down_resnet(key: str) -> bool:
    parts = key.split(".")
    return len(parts) > 4 and parts[0] == "down_blocks" and parts[2] == "resnets"


def _rename(key: str, names: Mapping[str, str]) -> str:
    """The key with its longest known prefix renamed."""
    head = key
    while head:
        if head in names:
            return names[head] + key[len(head) :]
        head = head.rpartition(".")[0]
    return key
