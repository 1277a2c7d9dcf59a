"""A diffusers config.json: what it adds to a net's shapes, what is refused, and how it is written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..nets.config import UNetConfig
from ..nets.controlnet import ControlNet
from ..nets.union import UnionControlNet
from .container.header import MAX_HEADER, UnreadableFile
from .container.places import is_standard
from .shapes import Shapes

#: How many heads diffusers' classes have if the config does not say.
DEFAULT_HEADS = 8
#: Fields that change the result but no shape, with the values that are supported here: those of every
#: released Stable Diffusion (diffusers 0.42, ControlNetModel, ControlNetUnionModel and UNet2DConditionModel).
COMPUTED: Mapping[str, tuple[object, ...]] = {
    "act_fn": ("silu", "swish"),
    "addition_embed_type": (None, "text_time"),
    "attention_type": ("default",),
    "center_input_sample": (False,),
    "class_embed_type": (None,),
    "class_embeddings_concat": (False,),
    "conditioning_embedding_out_channels": ([16, 32, 96, 256],),
    "controlnet_conditioning_channel_order": ("rgb", "bgr"),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "downsample_padding": (1,),
    "dual_cross_attention": (False,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_scale_factor": (1,),
    "mid_block_type": ("UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None),
    "norm_eps": (1e-5,),
    "norm_num_groups": (32,),
    "num_class_embeds": (None,),
    "only_cross_attention": (False,),
    "resnet_out_scale_factor": (1,),
    "resnet_skip_time_act": (False,),
    "resnet_time_scale_shift": ("default",),
    "time_cond_proj_dim": (None,),
    "time_embedding_act_fn": (None,),
    "time_embedding_type": ("positional",),
    "timestep_post_act": (None,),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}


class UnsupportedConfig(ValueError):
    """A config.json asks for something that is not supported here."""


def check_config(config: Mapping[str, Any]) -> None:
    """Raises UnsupportedConfig, which names the fields, if the result would differ from diffusers'."""
    strange = [name for name in COMPUTED if name in config and not _is_computed(name, config[name])]
    if strange:
        fields = ", ".join(
            f"`{name}` {config[name]!r:.80} (here {_join_values(COMPUTED[name])})"
            for name in strange
        )
        raise UnsupportedConfig(
            f"Its config.json sets {fields}, which is not supported here; use the net with diffusers."
        )


def with_config_heads(found: UNetConfig, config: Mapping[str, Any]) -> UNetConfig:
    """Returns `found` with attention divided into heads as a diffusers config.json says.

    diffusers calls the *number* of heads `attention_head_dim`: one for all levels, or one by level.

    Raises:
        UnsupportedConfig: neither a number nor one by level.
    """
    default = DEFAULT_HEADS if "_class_name" in config else None
    name = "num_attention_heads" if config.get("num_attention_heads") else "attention_head_dim"
    heads: Any = config.get(name, default)
    if heads is None:
        return found
    if _is_count(heads):
        return found.with_heads(heads, None)
    counts = cast(list[Any], heads) if isinstance(heads, list) else []
    if len(counts) != len(found.channel_mult) or not all(map(_is_count, counts)):
        raise UnsupportedConfig(
            f"Its config.json sets `{name}` {heads!r:.80}; it must be one number, or one for each of the "
            f"{len(found.channel_mult)} levels."
        )
    return _with_counts(found, tuple(counts))


def is_pooled(config: Mapping[str, Any]) -> bool:
    """Whether a config.json says that residuals are averaged over the picture."""
    return config.get("global_pool_conditions") is True


def is_bgr(config: Mapping[str, Any]) -> bool:
    """Whether a config.json says that the net takes the hint's channels in reverse order."""
    return config.get("controlnet_conditioning_channel_order") == "bgr"


def config_at(path: Path) -> Mapping[str, Any]:
    """Returns the values of a config.json; nothing if there is none."""
    if not path.is_file() or path.stat().st_size > MAX_HEADER:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            "a folder with a damaged config", f"{path} is not valid JSON; download it again."
        ) from error
    return cast(Mapping[str, Any], values) if isinstance(values, dict) else {}


def config_beside(file: Path, shapes: Shapes) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Returns the config.json in a file's folder if it is the file's, and notes on that.

    It belongs to the weights with diffusers' file names. Without those, it belongs to every file that it describes.
    """
    path = file.parent / "config.json"
    if "conv_in.weight" not in shapes or not path.is_file():
        return {}, ()
    others = (other for other in file.parent.iterdir() if is_standard(other))
    config = config_at(path)
    its = is_standard(file) or not any(others)
    if not its or not _describes(config, shapes):
        return {}, ("The config.json in its folder describes another model and is not read.",)
    return config, ("The config.json in its folder is read: heads, pooling, channel order.",)


def config_json(net: ControlNet) -> dict[str, Any]:
    """Returns the config.json with which diffusers builds the net.

    Raises:
        ValueError: a shape that diffusers' ControlNetModel cannot have.
    """
    config = net.config
    union = isinstance(net, UnionControlNet)
    kind = "UNetMidBlock2D" if config.middle_depth < 0 else "UNetMidBlock2DCrossAttn"
    return {
        "_class_name": "ControlNetUnionModel" if union else "ControlNetModel",
        "act_fn": "silu",
        "addition_embed_type": None if config.y_dim is None else "text_time",
        "addition_time_embed_dim": None if config.y_dim is None else 256,
        "attention_head_dim": _head_field(config),
        "block_out_channels": [config.model_channels * mult for mult in config.channel_mult],
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
        **(_union_fields(net) if isinstance(net, UnionControlNet) else {"mid_block_type": kind}),
    }


def _is_computed(name: str, value: object) -> bool:
    known = COMPUTED[name]
    if value in known:
        return True
    return isinstance(value, list) and all(v in known for v in cast(list[object], value))


def _join_values(values: Sequence[object]) -> str:
    return " or ".join(repr(value) for value in values)


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _with_counts(found: UNetConfig, counts: tuple[int, ...]) -> UNetConfig:
    """Keeps heads of one width (SD2.x, SDXL) as that width; otherwise one number, or one per level."""
    widths = [found.model_channels * mult for mult in found.channel_mult]
    head_dims = {width / count for width, count in zip(widths, counts, strict=True)}
    if len(head_dims) == 1 and head_dims.copy().pop().is_integer():
        return found.with_heads(None, int(head_dims.pop()))
    return found.with_heads(counts[0] if len(set(counts)) == 1 else counts, None)


def _describes(config: Mapping[str, Any], shapes: Shapes) -> bool:
    """Whether a config's widths and class are those of weights by diffusers' keys."""
    hint = shapes.get("controlnet_cond_embedding.conv_in.weight")
    first = shapes["conv_in.weight"]
    levels = [shapes.get(f"down_blocks.{i}.resnets.0.conv1.weight", (0,))[0] for i in range(64)]
    found = {
        "block_out_channels": [width for width in levels if width],
        "in_channels": first[1] if len(first) == 4 else None,
        "conditioning_channels": hint[1] if hint is not None and len(hint) == 4 else None,
    }
    kind = str(config.get("_class_name", ""))
    if not kind or kind.startswith("ControlNet") != (hint is not None):
        return False
    return all(config[k] == v for k, v in found.items() if k in config and v is not None)


def _head_field(config: UNetConfig) -> int | list[int]:
    return config.num_heads if isinstance(config.num_heads, int) else list(config.head_counts)


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
    """Transformer blocks by level; the last number is also the middle's, and is free if its level has none."""
    if any(len(set(depths)) != 1 for depths in config.depths):
        raise _not_in_diffusers("a pruned encoder")
    layers = [max(depths[0], 1) for depths in config.depths]
    if config.middle_depth < 0:
        return layers
    if config.depths[-1][0] not in (0, config.middle_depth):
        raise _not_in_diffusers("a middle that is deeper or shallower than its level")
    layers[-1] = config.middle_depth
    return layers


def _not_in_diffusers(what: str) -> ValueError:
    return ValueError(
        f"This ControlNet has {what}, which diffusers cannot build; save it with the layout 'ldm'."
    )
