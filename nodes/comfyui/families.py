"""Model families, identified by the width of their text embeddings."""

from ...cnet_core.hosting import NetSource
from .host_types import Model

#: Width of the text embeddings -> family.
FAMILIES = {
    64: "the embedded tiny model",
    768: "SD1.x",
    1024: "SD2.x",
    1280: "the SDXL refiner",
    2048: "SDXL",
}
BLOCK_LISTS = ("input_blocks", "middle_block", "output_blocks")


def check_pair(model: Model, source: NetSource) -> None:
    """Raises unless the MODEL has a UNet of the ControlNet's family.

    Raises:
        TypeError: the MODEL has no UNet (Flux, SD3, ...).
        ValueError: different families; the message names both.
    """
    check_unet(model)
    config = source.config
    if config is None:  # built from the UNet itself when the run starts
        return
    ours = (config.context_dim, config.num_blocks)
    theirs = (_context_dim(model), block_count(model))
    if ours != theirs:
        raise ValueError(
            f"The ControlNet is made for {_describe(*ours)}, but the MODEL is {_describe(*theirs)}. "
            f"Use a ControlNet made for {family(theirs[0])}, or a model of the ControlNet's family."
        )


def check_unet(model: Model) -> None:
    """Raises TypeError unless the MODEL has a UNet."""
    unet = model.model.diffusion_model
    if not all(hasattr(unet, name) for name in BLOCK_LISTS):
        raise TypeError(
            f"The MODEL is a {type(model.model).__name__} ({type(unet).__name__}), which has no UNet. This node "
            "is for Stable Diffusion 1.x, 2.x and SDXL; use ComfyUI's own nodes with a ControlNet of that model."
        )


def block_count(model: Model) -> int:
    """Returns how many blocks of a MODEL's UNet take residuals, including the middle."""
    return len(model.model.diffusion_model.output_blocks) + 1


def family(context_dim: int | None) -> str:
    """Returns the name of a family."""
    return FAMILIES.get(context_dim or 0, "an unknown family")


def _describe(context_dim: int | None, blocks: int) -> str:
    return f"{family(context_dim)} (text embeddings {context_dim} wide, {blocks} blocks)"


def _context_dim(model: Model) -> int | None:
    dim = model.model.model_config.unet_config.get("context_dim")
    return dim[0] if isinstance(dim, list) else dim
