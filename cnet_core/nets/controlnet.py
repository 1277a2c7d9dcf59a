"""ControlNet: hint encoder, trainable copy of the UNet's encoder, zero convolutions; returns Residuals."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from .blocks import TORCH_OPS, Ops, TimestepSequential
from .casting import compute_dtype
from .compiled import Backend, StepCompiler, allow_any
from .config import UNetConfig
from .control_types import ControlTypeError
from .encoder import SHARED, Encoder
from .residuals import Residuals
from .versions import version_of

#: Widths of the released hint encoder (lllyasviel/ControlNet, cldm/cldm.py): (out channels, stride) of each 3x3 conv.
HINT_CONVS = ((16, 1), (16, 1), (32, 2), (32, 1), (96, 2), (96, 1), (256, 2))
#: The hint has this many times the latent's height and width.
HINT_DOWNSCALE = 8

HintInit = Literal["balanced", "released"]


class ControlNet(Encoder):
    """A ControlNet for any Stable Diffusion UNet. Module names are the keys of released ldm files.

    A `pooled` one ("shuffle") gives each residual's mean over height and width, everywhere.
    """

    _compiler: StepCompiler | None = None

    def __init__(
        self,
        config: UNetConfig,
        hint_channels: int = 3,
        ops: Ops = TORCH_OPS,
        *,
        pooled: bool = False,
    ) -> None:
        super().__init__(config, ops)
        self.hint_channels = hint_channels
        self.pooled = pooled
        self.input_hint_block = _hint_encoder(hint_channels, config.model_channels, ops)
        widths = [b.out_channels for b in config.encoder]
        self.zero_convs = nn.ModuleList(TimestepSequential(ops.Conv2d(w, w, 1)) for w in widths)
        self.middle_block_out = TimestepSequential(ops.Conv2d(widths[-1], widths[-1], 1))

    @classmethod
    def from_unet(
        cls, unet: nn.Module, *, hint_channels: int = 3, hint_init: HintInit = "balanced"
    ) -> "ControlNet":
        """Returns the trainable copy of a locked UNet: its encoder's weights, zero convs at zero.

        A new one changes nothing: every residual is exactly 0 until the first optimizer step.

        Args:
            unet: a `cnet_core.UNet`; it does not change.
            hint_channels: channels of the hint picture.
            hint_init: how the hint encoder starts. "balanced" keeps the hint's variance through the layers
                (std 2 / sqrt(fan_in)), so that training follows the hint early; "released" is PyTorch's
                default, as in the released code.

        Raises:
            TypeError: the UNet has no config.
            ValueError: it has other layers than its config says.
        """
        config = getattr(unet, "config", None)
        if not isinstance(config, UNetConfig):
            raise TypeError(
                f"`unet` is a {type(unet).__name__} without a `config` of type UNetConfig; build a cnet_core.UNet "
                "from its weights first."
            )
        net = cls(config, hint_channels)
        ours = net.state_dict().keys()
        shared = {k: v for k, v in unet.state_dict().items() if k in ours}
        net.load_state_dict(shared, strict=False)
        lost = [key for key in ours if key.startswith(SHARED) and key not in shared]
        if lost:
            raise ValueError(
                f"`unet` has no {lost[0]}, so its encoder cannot be copied: remove what was added to it, such as LoRA "
                "layers."
            )
        _start_hint_encoder(net.input_hint_block, hint_init)
        for conv in [*net.zero_convs, net.middle_block_out, net.input_hint_block[-1]]:
            for parameter in conv.parameters():
                nn.init.zeros_(parameter)
        first = next(unet.parameters())
        return net.to(device=first.device, dtype=first.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which the net computes."""
        return compute_dtype(next(self.parameters()))

    @property
    def weights_version(self) -> int:
        """A number that changes whenever the weights are written to in place, or replaced."""
        return version_of(self)

    @property
    def hint_version(self) -> int:
        """As weights_version, of the weights that `hint_features` reads alone."""
        return version_of(self.input_hint_block)

    def compile_steps(
        self,
        backend: Backend = "inductor",
        *,
        allows: Callable[["ControlNet"], bool] = allow_any,
    ) -> None:
        """Makes steps without gradients run through `torch.compile`; the first of each size takes minutes.

        At most cnet_core.nets.compiled.MOST_GRAPHS combinations of size, rows and blocks are compiled. Other calls,
        training and files do not change. If compiling fails, the net runs uncompiled and a line in the log says so.

        Args:
            backend: of torch.compile.
            allows: whether the net may be compiled as it is now.
        """
        self._compiler = StepCompiler(backend, allows)

    @property
    def compiles(self) -> bool:
        """Whether `compile_steps` was called."""
        return self._compiler is not None

    def close(self) -> None:
        """Does nothing: the net keeps nothing for a run."""

    def forward(
        self,
        x: Tensor,
        hint: Tensor | tuple[Tensor, ...],
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        *,
        control_types: Sequence[str] | None = None,
    ) -> Residuals:
        """Returns the residuals of one step, unscaled.

        Args:
            x: noisy latents (B, in_channels, H, W).
            hint: the picture to follow, (B or 1, hint_channels, 8H, 8W), 0..1; Union: or a tuple, one per type.
            timesteps: (B,), 0..999.
            context: text embeddings (B, tokens, context_dim).
            y: vector condition (B, y_dim), for SDXL.
            control_types: only for Union ControlNets.

        Raises:
            ValueError: the hint has another size or other channels, or the call belongs to another family.
        """
        features = self.hint_features(hint, control_types)
        found = self.residuals(x, features, timesteps, context, y, control_types=control_types)
        return found.pool_over_space() if self.pooled else found

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError unless there is one hint and no type: types are for Union ControlNets."""
        if control_types is not None:
            raise ControlTypeError(control_types)
        if hints != 1:
            raise ValueError(f"There are {hints} hints; only Union ControlNets take more than one.")

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor:
        """Returns the trunk's features of a hint (N, hint_channels, 8H, 8W): (N, model_channels, H, W).

        It depends on neither the step nor the text, so callers can cache it between steps.
        """
        if isinstance(hint, tuple):
            self.check_types(len(hint), control_types)
            hint = hint[0]
        if hint.dim() != 4 or hint.shape[1] != self.hint_channels:
            raise ValueError(
                f"`hint` has the shape {tuple(hint.shape)}; this ControlNet takes (N, {self.hint_channels}, 8H, 8W)."
            )
        features = hint
        for layer in self.input_hint_block:
            features = layer(features)
        return features

    def embedding(
        self,
        timesteps: Tensor,
        y: Tensor | None,
        dtype: torch.dtype,
        control_types: Sequence[str] | None,
    ) -> Tensor:
        """Returns what every ResBlock gets of the time: (B, 4*model_channels), see `embed`."""
        self.check_types(1, control_types)
        return self.embed(timesteps, y, dtype)

    def residuals(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        scales: Sequence[float] | None = None,
        *,
        control_types: Sequence[str] | None = None,
    ) -> Residuals:
        """Returns the residuals for hint features (B or 1, model_channels, H, W), times one scale per block.

        Those of a `pooled` net are not pooled yet, since a mask may come first.

        Blocks whose scale is 0 give None, and the net runs only as deep as the last scale that is not 0.

        Args:
            x, timesteps, context, y, control_types: as in `forward`.
            features: from `hint_features`.
            scales: one number per block, shallow to deep, middle last; None is 1 for each.
        """
        if features.shape[-2:] != x.shape[-2:]:
            want, got = (f"{8 * t.shape[-1]} x {8 * t.shape[-2]}" for t in (x, features))
            raise ValueError(
                f"The hint is {got} pixels, but the latents need {want} (8 times their width and height)."
            )
        if scales is None:
            scales = [1.0] * self.config.num_blocks
        check_scale_count(scales, self.config.num_blocks)
        wanted = tuple(scale != 0 for scale in scales)
        types = None if control_types is None else tuple(control_types)
        args = (x, features, timesteps, context, y, wanted, types)
        found = self._compiler.run(self, *args) if self._compiler else self.run_blocks(*args)
        return Residuals.of([_scale_(b, s) for b, s in zip(found, scales, strict=True)])

    def run_blocks(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None,
        wanted: Sequence[bool],
        control_types: Sequence[str] | None,
    ) -> list[Tensor | None]:
        """Returns the wanted blocks' residuals, unscaled, and None for the others; arguments as in `residuals`."""
        depth = max((i + 1 for i, is_wanted in enumerate(wanted) if is_wanted), default=0)
        found: list[Tensor | None] = [None] * len(wanted)
        emb = self.embedding(timesteps, y, x.dtype, control_types) if depth else x
        h = x
        for index in range(min(depth, len(self.input_blocks))):
            h = self.run(self.input_blocks[index], h, emb, context)
            if index == 0:
                h = h + features
            if wanted[index]:
                found[index] = self.zero_convs[index](h, emb)
        if depth == len(wanted):
            h = self.run(self.middle_block, h, emb, context)
            found[-1] = self.middle_block_out(h, emb)
        return found


def check_scale_count(scales: Sequence[float], blocks: int) -> None:
    """Raises ValueError unless there is one scale per block."""
    if len(scales) != blocks:
        raise ValueError(
            f"There are {len(scales)} block scales, but this ControlNet has {blocks} blocks; give one for each, "
            "shallow to deep, middle last (13 for SD1.x and SD2.x, 10 for SDXL)."
        )


def _hint_encoder(hint_channels: int, model_channels: int, ops: Ops) -> TimestepSequential:
    layers: list[nn.Module] = []
    width = hint_channels
    for out, stride in HINT_CONVS:
        layers += [ops.Conv2d(width, out, 3, stride=stride, padding=1), nn.SiLU()]
        width = out
    return TimestepSequential(*layers, ops.Conv2d(width, model_channels, 3, padding=1))


def _start_hint_encoder(block: nn.Sequential, init: HintInit) -> None:
    if init not in ("balanced", "released"):
        raise ValueError(f"`hint_init` is {init!r}; it must be 'balanced' or 'released'.")
    if init == "released":
        return
    for layer in block:
        if isinstance(layer, nn.Conv2d):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=2 / math.sqrt(fan_in))
            nn.init.zeros_(cast(Tensor, layer.bias))


def _scale_(residual: Tensor | None, scale: float) -> Tensor | None:
    # A zero conv's output, which nothing else uses.
    return residual if residual is None or scale == 1 else residual.mul_(scale)
