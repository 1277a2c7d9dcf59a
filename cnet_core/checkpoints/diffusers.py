"""diffusers' names of a ControlNet's and a UNet's encoder layers, and ldm's, both ways; its config.json."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from ..config import UNetConfig
from ..controlnet import HINT_CONVS, ControlNet
from ..union import UnionControlNet

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
    """Returns diffusers' name -> ldm's of every layer, for so many residual blocks by level."""
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


def to_ldm(keys: Collection[str]) -> dict[str, str]:
    """Returns diffusers' key -> ldm's; keys of no known layer keep their name."""
    names = layer_names(_res_blocks(keys))
    return {key: _renamed(key, names).replace(".attn.in_proj_", ".attn.in_proj.") for key in keys}


def from_ldm(keys: Iterable[str], config: UNetConfig) -> dict[str, str]:
    """Returns ldm's key -> diffusers'."""
    names = {ldm: ours for ours, ldm in layer_names([len(d) for d in config.depths]).items()}
    return {key: _renamed(key, names).replace(".attn.in_proj.", ".attn.in_proj_") for key in keys}


def head_counts(config: Mapping[str, Any], found: UNetConfig) -> UNetConfig:
    """Returns `found` with attention cut into heads as a diffusers config.json says.

    diffusers calls the *number* of heads `attention_head_dim`: one for all levels, or one by level.
    """
    heads = config.get("num_attention_heads") or config.get("attention_head_dim")
    if isinstance(heads, int) and heads > 0:
        return with_heads(found, heads, None)
    if isinstance(heads, list) and heads and isinstance(heads[0], int) and heads[0] > 0:
        first: int = heads[0]
        return with_heads(found, None, found.model_channels * found.channel_mult[0] // first)
    return found


def with_heads(config: UNetConfig, num_heads: int | None, head_dim: int | None) -> UNetConfig:
    """Returns the config with attention cut in another way."""
    return UNetConfig.from_dict({**config.to_dict(), "num_heads": num_heads, "head_dim": head_dim})


def config_json(net: ControlNet) -> dict[str, Any]:
    """Returns the config.json with which diffusers builds the net.

    Raises:
        ValueError: a shape that diffusers' ControlNetModel cannot have.
    """
    config = net.config
    widths = [config.model_channels * mult for mult in config.channel_mult]
    union = isinstance(net, UnionControlNet)
    return {
        "_class_name": "ControlNetUnionModel" if union else "ControlNetModel",
        "act_fn": "silu",
        "addition_embed_type": None if config.y_dim is None else "text_time",
        "addition_time_embed_dim": None if config.y_dim is None else 256,
        "attention_head_dim": config.num_heads or [config.heads(w)[0] for w in widths],
        "block_out_channels": widths,
        "conditioning_channels": net.hint_channels,
        "conditioning_embedding_out_channels": [16, 32, 96, 256],
        "cross_attention_dim": config.context_dim,
        "down_block_types": [_block_type(depths) for depths in config.depths],
        "global_pool_conditions": net.pooled,
        "in_channels": config.in_channels,
        "layers_per_block": _layers_per_block(config),
        "projection_class_embeddings_input_dim": config.y_dim,
        "transformer_layers_per_block": _transformer_layers(config),
        "use_linear_projection": config.linear_proj,
        **(_union_fields(net) if isinstance(net, UnionControlNet) else {}),
    }


def _union_fields(net: UnionControlNet) -> dict[str, Any]:
    width = net.config.model_channels
    return {
        "num_control_type": net.num_types,
        "num_trans_channel": width,
        "num_proj_channel": width,
    }


def _block_type(depths: Sequence[int]) -> str:
    return "CrossAttnDownBlock2D" if any(depths) else "DownBlock2D"


def _layers_per_block(config: UNetConfig) -> int:
    counts = {len(depths) for depths in config.depths}
    if len(counts) != 1:
        raise _not_in_diffusers("levels with different numbers of residual blocks")
    return counts.pop()


def _transformer_layers(config: UNetConfig) -> list[int]:
    """Transformer blocks by level; the last number is the middle's too, and is free if its level has none."""
    if any(len(set(depths)) != 1 for depths in config.depths) or config.middle_depth < 0:
        raise _not_in_diffusers("a pruned encoder")
    layers = [max(depths[0], 1) for depths in config.depths]
    if config.depths[-1][0] not in (0, config.middle_depth):
        raise _not_in_diffusers("a middle that is deeper or shallower than its level")
    layers[-1] = config.middle_depth
    return layers


def _not_in_diffusers(what: str) -> ValueError:
    return ValueError(
        f"This ControlNet has {what}, which diffusers cannot build; save it with the layout 'ldm'."
    )


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


def _renamed(key: str, names: Mapping[str, str]) -> str:
    """The key with its longest known beginning renamed."""
    head = key
    while head:
        if head in names:
            return names[head] + key[len(head) :]
        head = head.rpartition(".")[0]
    return key
