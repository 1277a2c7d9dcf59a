"""The config of a UNet or ControlNet, read from the shapes of its tensors (ldm keys)."""

from collections.abc import Collection, Mapping

from ..nets.config import UNetConfig

#: Keys of a file of tensors.
Keys = Collection[str]
Shapes = Mapping[str, tuple[int, ...]]

#: More than any Stable Diffusion has; a header that claims more is not one.
MAX_BLOCKS = 64
MAX_SIDE = 65536
#: Text width of nets without attention to text, by the width of y: SDXL and its refiner; else SD1.x.
CONTEXT_BY_Y = {2816: 2048, 2560: 1280, None: 768}


def unet_config_of(shapes: Shapes) -> UNetConfig:
    """Returns the config whose encoder has these shapes.

    The shapes do not show how attention is divided into heads: SD1.x (conv projections) has 8, SD2.x and SDXL
    (linear projections) have heads of width 64.

    Raises:
        ValueError: the layers are not those of a Stable Diffusion encoder.
    """
    model_channels, in_channels = _shape(shapes, "input_blocks.0.0.weight", 4)[:2]
    levels = _levels(shapes)
    widths = [[width for width, _ in level] for level in levels]
    if not model_channels or any(w[0] % model_channels or len(set(w)) != 1 for w in widths):
        raise ValueError(
            f"The widths {widths} of its levels are not multiples of the first, {model_channels}."
        )
    y_dim = _shape(shapes, "label_emb.0.0.weight", 2)[1] if _has(shapes, "label_emb") else None
    linear = _linear_proj(shapes, y_dim)
    return UNetConfig(
        in_channels=in_channels,
        out_channels=_shape(shapes, "out.2.weight", 4)[0] if "out.2.weight" in shapes else 4,
        model_channels=model_channels,
        channel_mult=tuple(w[0] // model_channels for w in widths),
        num_res_blocks=_one_if_equal([len(level) for level in levels]),
        transformer_depth=tuple(_one_if_equal([d for _, d in level]) for level in levels),
        middle_depth=_middle_depth(shapes),
        context_dim=_context_dim(shapes, y_dim),
        num_heads=None if linear else 8,
        head_dim=64 if linear else None,
        linear_proj=linear,
        y_dim=y_dim,
    )


def text_width_without_attention(y_dim: int | None) -> int:
    """Returns the text width of the family of a net that reads no text (SDXL small), by the width of its y."""
    return CONTEXT_BY_Y.get(y_dim, 2048)


def _levels(shapes: Shapes) -> list[list[tuple[int, int]]]:
    """Returns (width, transformer blocks) of every residual block, by level."""
    levels: list[list[tuple[int, int]]] = [[]]
    for index in range(1, MAX_BLOCKS):
        block = f"input_blocks.{index}"
        if f"{block}.0.op.weight" in shapes:
            levels.append([])
        elif f"{block}.0.in_layers.2.weight" in shapes:
            width = _shape(shapes, f"{block}.0.in_layers.2.weight", 4)[0]
            levels[-1].append((width, _depth(shapes, f"{block}.1")))
        else:
            break
    if not all(levels):
        raise ValueError("Its encoder has a level without residual blocks.")
    return levels


def _depth(shapes: Shapes, block: str) -> int:
    """How many transformer blocks an attention layer has; difference files may lack some of their layers."""
    start = f"{block}.transformer_blocks."
    depth = len({key[len(start) :].partition(".")[0] for key in shapes if key.startswith(start)})
    if depth > MAX_BLOCKS:
        raise ValueError(
            f"{block} has {depth} transformer blocks, more than any Stable Diffusion has."
        )
    return depth


def _middle_depth(shapes: Shapes) -> int:
    return _depth(shapes, "middle_block.1") if _has(shapes, "middle_block.1") else -1


def _context_dim(shapes: Shapes, y_dim: int | None) -> int:
    for key in shapes:
        if key.endswith(".attn2.to_k.weight"):
            return _shape(shapes, key, 2)[1]
    return text_width_without_attention(y_dim)


def _linear_proj(shapes: Shapes, y_dim: int | None) -> bool:
    ranks = [len(shape) for key, shape in shapes.items() if key.endswith(".proj_in.weight")]
    return ranks[0] == 2 if ranks else y_dim is not None


def _one_if_equal(numbers: list[int]) -> int | tuple[int, ...]:
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def _has(shapes: Collection[str], module: str) -> bool:
    return any(key.startswith(f"{module}.") for key in shapes)


def _shape(shapes: Shapes, key: str, rank: int) -> tuple[int, ...]:
    shape = shapes.get(key)
    if shape is None:
        raise ValueError(f"The layer {key} is missing.")
    if len(shape) != rank or not all(0 < side <= MAX_SIDE for side in shape):
        raise ValueError(
            f"The layer {key} has the shape {list(shape)}; {rank} dimensions were expected."
        )
    return shape
