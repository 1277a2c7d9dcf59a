"""Model families, identified by the width of their text embeddings."""

from collections.abc import Sequence
from typing import Protocol

from ...cnet_core.hosting import NetSource
from .host_types import BaseModel, Model, UNetModel

#: Width of the text embeddings -> family.
FAMILIES = {
    64: "the embedded tiny model",
    768: "SD1.x",
    1024: "SD2.x",
    1280: "the SDXL refiner",
    2048: "SDXL",
}
#: Blocks of a UNet that take residuals, the middle included.
SD_BLOCKS, XL_BLOCKS = 13, 10
BLOCK_LISTS = ("input_blocks", "middle_block", "output_blocks")


class AdapterNet(Protocol):
    """The net of a T2I-Adapter of ComfyUI's."""

    @property
    def xl(self) -> bool: ...

    @property
    def channels(self) -> Sequence[int]: ...


def check_pair(model: Model, source: NetSource) -> None:
    """Raises unless the MODEL has a UNet of the ControlNet's family.

    Raises:
        TypeError: the MODEL has no UNet (Flux, SD3, ...).
        ValueError: different families; the message names both.
    """
    check_base_pair(model.model, source)


def check_base_pair(base: BaseModel, source: NetSource) -> None:
    """As check_pair, for the module of a MODEL."""
    _check_unet(
        base, "This ControlNet is for Stable Diffusion; use one that is made for your model."
    )
    config = source.config
    if config is None:  # built from the UNet itself when the run starts
        return
    ours = (config.context_dim, config.num_blocks)
    theirs = (_context_dim(base), _block_count(base))
    if ours != theirs:
        raise ValueError(
            f"The ControlNet is made for {_describe(*ours)}, but the MODEL is {_describe(*theirs)}. "
            f"Use a ControlNet made for {family(theirs[0])}, or a model of the ControlNet's family."
        )


def check_adapter_pair(base: BaseModel, adapter: AdapterNet) -> None:
    """Raises unless the module of a MODEL has a UNet of a T2I-Adapter's family and widths.

    Raises:
        TypeError: the MODEL has no UNet.
        ValueError: different families or widths; the message names both.
    """
    _check_unet(base, "T2I-Adapters are for Stable Diffusion.")
    ours = XL_BLOCKS if adapter.xl else SD_BLOCKS
    if _block_count(base) != ours:
        raise ValueError(
            f"The T2I-Adapter is made for {'SDXL' if adapter.xl else 'SD1.x'}, but the MODEL is "
            f"{_describe(_context_dim(base), _block_count(base))}. Use an adapter made for this model."
        )
    widths, theirs = tuple(adapter.channels), _level_widths(base)[: len(adapter.channels)]
    if widths != theirs:
        raise ValueError(
            f"The T2I-Adapter's blocks are {_list(widths)} wide, but those of the MODEL are {_list(theirs)}. "
            "Use an adapter made for this model."
        )


def check_unet(model: Model, advice: str) -> None:
    """Raises TypeError with an advice unless the MODEL has a UNet."""
    _check_unet(model.model, advice)


def has_unet(base: BaseModel) -> bool:
    """Whether the module of a MODEL has a UNet as Stable Diffusion's."""
    return all(hasattr(base.diffusion_model, name) for name in BLOCK_LISTS)


def check_count(unet: UNetModel, skips: int) -> None:
    """Raises ValueError unless a UNet has that many skip connections."""
    have = len(unet.output_blocks)
    if skips != have:
        raise ValueError(
            f"The ControlNet gives {skips} skip residuals, but the UNet has {have} skip connections: the two are of "
            "different families (SD1.x and SD2.x have 12, SDXL 9)."
        )


def _check_unet(base: BaseModel, advice: str) -> None:
    if not has_unet(base):
        unet = type(base.diffusion_model).__name__
        raise TypeError(
            f"The MODEL is a {type(base).__name__} ({unet}), which has no UNet. {advice}"
        )


def block_count(model: Model) -> int:
    """Returns how many blocks of a MODEL's UNet take residuals, including the middle."""
    return _block_count(model.model)


def _block_count(base: BaseModel) -> int:
    return len(base.diffusion_model.output_blocks) + 1


def _level_widths(base: BaseModel) -> tuple[int, ...]:
    """Returns the width of each level of a UNet, and of its middle block."""
    unet = base.diffusion_model
    widths = [unet.model_channels * factor for factor in unet.channel_mult]
    return (*widths, widths[-1])


def _list(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))


def family(context_dim: int | None) -> str:
    """Returns the name of a family."""
    return FAMILIES.get(context_dim or 0, "an unknown family")


def _describe(context_dim: int | None, blocks: int) -> str:
    return f"{family(context_dim)} (text embeddings {context_dim} wide, {blocks} blocks)"


def _context_dim(base: BaseModel) -> int | None:
    dim = base.model_config.unet_config.get("context_dim")
    return dim[0] if isinstance(dim, list) else dim
