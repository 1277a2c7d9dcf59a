"""ComfyUI's own CONTROL_NET objects (cldm ControlNets and Control-LoRAs) as Nets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_management
import torch
from comfy.ldm.modules.attention import CrossAttention
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample
from torch import Tensor

from ...cnet_core import Residuals
from ...cnet_core.checkpoints.shapes import text_width_without_attention
from ...cnet_core.control.net import BlockLayout
from ...cnet_core.nets.blocks import timestep_embedding
from ...cnet_core.nets.control_types import ControlTypeError
from ...cnet_core.nets.controlnet import check_scale_count
from ...cnet_core.nets.union import TYPES, type_indices
from .host_types import BaseModel, DeviceSource, Patcher
from .loaded import residual_bytes
from .patcher import allow_copies_

SOURCE_NAMES = ("hint_channels", "check_types", "key", "patchers", "open", "memory")


def source_of(control_net: Any) -> DeviceSource:
    """Returns a NetSource for the value of the control_net socket.

    Raises:
        TypeError: this pack does not run the net itself; the message names it.
    """
    source = find_source(control_net)
    if source is None:
        inner = _strip_compile(getattr(control_net, "control_model", None))
        kind = type(control_net).__name__ + ("" if inner is None else f" ({type(inner).__name__})")
        raise TypeError(
            f"`control_net` is a {kind}. Route ControlNet takes ControlNets, Control-LoRAs and T2I-Adapters for "
            "Stable Diffusion, from Load ControlNet or from ComfyUI's own loaders. Connect it to Apply ControlNet "
            "(to the model) instead."
        )
    return source


def find_source(control_net: Any) -> DeviceSource | None:
    """Returns a NetSource for the value of the control_net socket; None for nets that this pack does not run itself."""
    travelling = getattr(control_net, "net_source", None)
    if travelling is not None:
        return travelling
    if all(hasattr(control_net, name) for name in SOURCE_NAMES):
        return control_net
    if type(control_net) is comfy.controlnet.ControlLora:
        return ControlLoraSource(control_net)
    return NativeSource(control_net) if _is_cldm(control_net) else None


def _is_cldm(control_net: Any) -> bool:
    """Whether a CONTROL_NET is ComfyUI's own for Stable Diffusion.

    Subclasses belong to other packs; what they add (weights over time, motion) would be silently lost.
    """
    inner = _strip_compile(getattr(control_net, "control_model", None))
    kinds = (comfy.controlnet.ControlNet, comfy.cldm.cldm.ControlNet)
    return (type(control_net), type(inner)) == kinds


def _strip_compile(model: Any) -> Any:
    """Returns the module inside a `torch.compile` one (TorchCompileControlNet): control runs it block by block."""
    return getattr(model, "_orig_mod", model)


@dataclass(frozen=True)
class NativeConfig:
    """The config that a ControlUnit needs, read from a cldm ControlNet's modules."""

    channels: tuple[int, ...]  # of each residual, shallow to deep, middle last
    levels: tuple[int, ...]  # how often the sides were halved, by residual
    in_channels: int
    context_dim: int
    y_dim: int | None

    @classmethod
    def of(cls, model: Any) -> "NativeConfig":
        """Returns the config of comfy.cldm.cldm.ControlNet."""
        level, levels = 0, []
        for block in model.input_blocks:
            level += any(isinstance(module, Downsample) for module in block)
            levels.append(level)
        convs = [*(block[0] for block in model.zero_convs), model.middle_block_out[0]]
        y_dim = None if model.num_classes is None else model.label_emb[0][0].in_features
        return cls(
            channels=tuple(conv.out_channels for conv in convs),
            levels=(*levels, level),
            in_channels=model.input_blocks[0][0].in_channels,
            context_dim=_text_width(model, y_dim),
            y_dim=y_dim,
        )

    @property
    def num_blocks(self) -> int:
        """How many residuals there are."""
        return len(self.levels)

    def block_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """As UNetConfig.block_shapes."""
        return tuple(
            (channels, -(-height // 2**level), -(-width // 2**level))
            for channels, level in zip(self.channels, self.levels, strict=True)
        )

    def block_sizes(self, height: int, width: int) -> tuple[float, ...]:
        """As UNetConfig.block_sizes."""
        return tuple((h * w) ** 0.5 for _, h, w in self.block_shapes(height, width))


def _text_width(model: Any, y_dim: int | None) -> int:
    """Returns the width of a net's text embeddings; a net without attention (SDXL small) reads none."""
    attentions = [module for module in model.modules() if isinstance(module, CrossAttention)]
    if not attentions:
        return text_width_without_attention(y_dim)
    return attentions[1].to_k.in_features  # the first reads the pixels, the second the text


class NativeNet:
    """A cldm ControlNet of ComfyUI, run block by block so that scales and depth apply."""

    def __init__(self, control: Any, model: Any) -> None:
        self._model = model
        self.pooled: bool = control.global_average_pooling
        self._types: list[int] = control.extra_args.get("control_type", [])
        self.config: BlockLayout = NativeConfig.of(self._model)
        self.hint_channels = self._model.input_hint_block[0].in_channels
        self.dtype: torch.dtype = control.manual_cast_dtype or self._model.dtype

    @property
    def weights_version(self) -> int:
        """A constant: the weights do not change during a run."""
        return 0

    @property
    def hint_version(self) -> int:
        """A constant, as weights_version."""
        return 0

    def close(self) -> None:
        """Does nothing: the net keeps nothing for a run."""

    @property
    def _union(self) -> bool:
        return getattr(self._model, "control_add_embedding", None) is not None

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError for an unknown type, and for several hints."""
        if hints != 1:
            raise ValueError(f"There are {hints} hints; a ControlNet of ComfyUI's takes one.")
        if control_types is not None and not self._union:
            raise ControlTypeError(control_types)
        type_indices(control_types, getattr(self._model, "num_control_type", 0))

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor:
        """Returns the trunk's features of one hint; a type given here overrides SetUnionControlNetType's."""
        if isinstance(hint, tuple):
            self.check_types(len(hint), control_types)
            hint = hint[0]
        types = self._type_indices(control_types)
        if self._union and types:
            return self._model.union_controlnet_merge(hint[None], types, None, None)
        return self._model.input_hint_block(hint, None, None)

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
        """As ControlNet.residuals."""
        model = self._model
        scales = [1.0] * self.config.num_blocks if scales is None else scales
        check_scale_count(scales, self.config.num_blocks)
        depth = max((i + 1 for i, scale in enumerate(scales) if scale != 0), default=0)
        found: list[Tensor | None] = [None] * len(scales)
        emb = self._embedding(timesteps, y, x.dtype, self._type_indices(control_types))
        h = x
        for index in range(min(depth, len(model.input_blocks))):
            h = model.input_blocks[index](h, emb, context)
            if index == 0:
                h = h + features
            if scales[index] != 0:
                found[index] = _scale_(model.zero_convs[index](h, emb, context), scales[index])
        if depth == len(scales):
            h = model.middle_block(h, emb, context)
            found[-1] = _scale_(model.middle_block_out(h, emb, context), scales[-1])
        return Residuals.of(found)

    def _type_indices(self, control_types: Sequence[str] | None) -> list[int]:
        return type_indices(control_types, len(TYPES)) or self._types

    def _embedding(
        self, timesteps: Tensor, y: Tensor | None, dtype: torch.dtype, types: list[int]
    ) -> Tensor:
        model = self._model
        emb = model.time_embed(timestep_embedding(timesteps, model.model_channels).to(dtype))
        if self._union:
            emb = emb + model.control_add_embedding(types, emb.dtype, emb.device)
        if model.num_classes is None:
            return emb
        if y is None:
            raise ValueError(
                "The ControlNet is for SDXL, but the MODEL gives no `y`: it is of another family."
            )
        return emb + model.label_emb(y)


def _scale_(residual: Tensor, scale: float) -> Tensor:
    # A zero conv's output, which nothing else uses.
    return residual if scale == 1 else residual.mul_(scale)


class NativeSource:
    """A ControlNet from ComfyUI's loader."""

    def __init__(self, control: Any) -> None:
        self._control = control
        model = _strip_compile(control.control_model)
        self._net = NativeNet(control, model)
        self.config = self._net.config
        self.hint_channels = self._net.hint_channels
        self.key = f"{id(model)} {control.extra_args}"
        self.patchers: Sequence[Patcher] = [allow_copies_(control.control_model_wrapped.clone())]
        self.check_types = self._net.check_types

    def open(self, base_model: BaseModel, loaded: Sequence[Patcher]) -> NativeNet:
        """Returns the net; ComfyUI has loaded its weights."""
        return NativeNet(self._control, loaded[0].model)

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes of the residuals."""
        return residual_bytes(self.config, rows, height, width, element)

    def on_device(self, device: torch.device) -> "NativeSource":
        """Returns a source of a copy of the net for a further GPU."""
        return NativeSource(self._control.deepclone_multigpu(device))


class ControlLoraSource:
    """A Control-LoRA of ComfyUI: its net is built from the UNet's weights when the run starts."""

    patchers: Sequence[Patcher] = ()
    config: BlockLayout | None = None  # until the run starts

    def __init__(self, control: Any) -> None:
        self._control = control
        self.key = str(id(control.control_weights))
        self.hint_channels: int = control.control_weights["input_hint_block.0.weight"].shape[1]

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError for any type: there is no Union Control-LoRA."""
        if control_types is not None:
            raise ControlTypeError(control_types)

    def open(self, base_model: BaseModel, loaded: Sequence[Patcher]) -> NativeNet:
        """Returns the net for this UNet."""
        opened = self._control.copy()
        opened.pre_run(base_model, base_model.model_sampling.percent_to_sigma)
        return _LoraNet(opened)

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes of the weights, as ComfyUI counts them."""
        return self._control.inference_memory_requirements(comfy.model_management.unet_dtype())

    def on_device(self, device: torch.device) -> "ControlLoraSource":
        """Returns itself: its net is made from the weights of the UNet that is called."""
        return self


class _LoraNet(NativeNet):
    """The net of a Control-LoRA, alive for one run."""

    def __init__(self, control: Any) -> None:
        super().__init__(control, control.control_model)
        self._control = control

    def close(self) -> None:
        """Makes ComfyUI drop the net."""
        self._control.cleanup()
