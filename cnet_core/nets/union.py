"""UnionControlNet: one ControlNet for several types of hint (xinsir's Union and ProMax for SDXL)."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..control.net import ControlTypeError, version_of
from .blocks import TORCH_OPS, Ops, timestep_embedding
from .config import UNetConfig
from .controlnet import ControlNet

#: The names of the types, by index (xinsir6/ControlNetPlus). The first release has six of them, ProMax eight.
TYPES = (
    ("openpose",),
    ("depth",),
    ("hed", "pidi", "scribble", "ted"),
    ("canny", "lineart", "anime_lineart", "mlsd"),
    ("normal",),
    ("segment",),
    ("tile",),
    ("repaint", "inpaint"),
)
TYPE_INDEX = {name: index for index, names in enumerate(TYPES) for name in names}
#: Width of the sinusoidal embedding of each type's switch.
SWITCH_WIDTH = 256


class UnionControlNet(ControlNet):
    """A ControlNet that takes the type of each hint; hints of several types act together."""

    def __init__(
        self,
        config: UNetConfig,
        hint_channels: int = 3,
        ops: Ops = TORCH_OPS,
        *,
        num_types: int = 8,
        pooled: bool = False,
    ) -> None:
        super().__init__(config, hint_channels, ops, pooled=pooled)
        width = config.model_channels
        self.num_types = num_types
        self.control_add_embedding = _TypeEmbedding(num_types, config.emb_dim, ops)
        self.task_embedding = nn.Parameter(torch.zeros(num_types, width))
        self.transformer_layes = nn.ModuleList([_TokenBlock(width, ops)])  # the released spelling
        self.spatial_ch_projs = ops.Linear(width, width)

    @property
    def hint_version(self) -> int:
        """As ControlNet.hint_version, with the weights of the types."""
        layers = (self.input_hint_block, self.transformer_layes, self.spatial_ch_projs)
        return version_of(self.task_embedding, *layers)

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError unless there is one known type for each hint; no types means one hint of any type."""
        types = 1 if control_types is None else len(control_types)
        if hints != types or not hints:
            raise ValueError(
                f"There are {hints} hints and `control_types` is {control_types}; give one type for each hint."
            )
        type_indices(control_types, self.num_types)

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor:
        """Returns the trunk's features of the hints, summed: (N, model_channels, H, W).

        Each hint's features get a shift by channel, computed from their mean and their type.

        The released code adds a token for the latents, and its attention runs over the batch instead of the
        sequence. So at inference, where all rows have the same hints, a token attends only to itself, and the
        latents' token reaches no other. Here a token always attends only to itself, so pictures of one
        batch cannot leak into each other, as they do in the released code.
        """
        hints = hint if isinstance(hint, tuple) else (hint,)
        self.check_types(len(hints), control_types)
        if control_types is None:
            return super().hint_features(hints[0])
        indices = type_indices(control_types, self.num_types)
        parts = [self._shift_features(h, index) for h, index in zip(hints, indices, strict=True)]
        return functools.reduce(torch.add, parts)

    def embedding(
        self,
        timesteps: Tensor,
        y: Tensor | None,
        dtype: torch.dtype,
        control_types: Sequence[str] | None,
    ) -> Tensor:
        """Returns the embedding (B, 4*model_channels) of timesteps, y and the types in use."""
        switches = torch.zeros(self.num_types, device=timesteps.device)
        for index in type_indices(control_types, self.num_types):
            switches[index] = 1.0
        types = timestep_embedding(switches, SWITCH_WIDTH).flatten()[None].to(dtype)
        return self.embed(timesteps, y, dtype, more=self.control_add_embedding(types))

    def _shift_features(self, hint: Tensor, index: int) -> Tensor:
        """One hint's features plus their shift alpha (N, C, 1, 1)."""
        features = super().hint_features(hint)
        token = features.mean((2, 3)) + self.task_embedding[index].to(features)
        for layer in self.transformer_layes:
            token = layer(token)
        return features + self.spatial_ch_projs(token)[:, :, None, None]


def type_indices(control_types: Sequence[str] | None, num_types: int) -> list[int]:
    """Returns the types' indices; names as in TYPES, or ComfyUI's ("canny/lineart/anime_lineart/mlsd").

    Raises:
        ValueError: an unknown type, or one that this net was not trained for.
    """
    indices = [TYPE_INDEX.get(name.split("/")[0], len(TYPES)) for name in control_types or ()]
    if any(index >= num_types for index in indices):
        known = ["/".join(names) for names in TYPES[:num_types]]
        raise ControlTypeError(control_types or (), known)
    return indices


class _TypeEmbedding(nn.Module):
    def __init__(self, num_types: int, emb_dim: int, ops: Ops) -> None:
        super().__init__()
        self.linear_1 = ops.Linear(SWITCH_WIDTH * num_types, emb_dim)
        self.linear_2 = ops.Linear(emb_dim, emb_dim)

    def forward(self, switches: Tensor) -> Tensor:
        return self.linear_2(nn.functional.silu(self.linear_1(switches)))


class _TokenBlock(nn.Module):
    """Attention of a token (N, C) to itself only, which equals its value, then an MLP with a quick GELU."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.attn = nn.ModuleDict(
            {"in_proj": ops.Linear(width, 3 * width), "out_proj": ops.Linear(width, width)}
        )
        self.ln_1 = ops.LayerNorm(width)
        self.mlp = nn.ModuleDict(
            {"c_fc": ops.Linear(width, 4 * width), "c_proj": ops.Linear(4 * width, width)}
        )
        self.ln_2 = ops.LayerNorm(width)

    def forward(self, token: Tensor) -> Tensor:
        value = self.attn["in_proj"](self.ln_1(token)).chunk(3, dim=-1)[2]
        token = token + self.attn["out_proj"](value)
        h = self.mlp["c_fc"](self.ln_2(token))
        return token + self.mlp["c_proj"](h * torch.sigmoid(1.702 * h))
