"""glance(): which models a file belongs to, from its header, fast enough for a folder of hundreds.

identify() also builds the net and compares every layer, which takes ten times as long.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..nets.config import UNetConfig
from .container.header import UnreadableFile
from .families import family_of
from .fingerprint import CONTROLNET
from .foreign import kind_of, lookalike
from .formats import format_of
from .shapes import unet_config_of
from .source import WeightsSource, open_source
from .structure import structure_of
from .unet import unet_names

#: What a base model with a Stable Diffusion UNet is.
MODEL = "a Stable Diffusion model"
#: What no ControlNet for a Stable Diffusion UNet fits.
OTHER_MODELS = ("a full checkpoint of another architecture", "a Flux model", "an SD3 model")


@dataclass(frozen=True)
class Glance:
    """What a file is, and which models it belongs to.

    Attributes:
        what: "a ControlNet", MODEL, "a LoRA", "an HTML page" …
        family: "SD1.x", "SDXL mid" …; None for what has no Stable Diffusion UNet, or is damaged.
        width: of the text embeddings; None as family.
        blocks: of the UNet that take residuals, the middle included; None as family.
        needs_base: whether the file holds differences from a base model.
    """

    what: str
    family: str | None = None
    width: int | None = None
    blocks: int | None = None
    needs_base: bool = False

    def fits(self, model: "Glance") -> bool | None:
        """Whether it is a ControlNet that controls this model; None where the headers do not say."""
        if self.what != CONTROLNET or model.what in OTHER_MODELS:
            return False
        if self.family is None or model.family is None:
            return None
        return (self.width, self.blocks) == (model.width, model.blocks)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)


def glance(path: str | Path) -> Glance:
    """Returns what a control net's file is.

    Raises:
        FileNotFoundError: no such file. PermissionError: no permission to read it.
    """
    try:
        source = open_source(path)
    except UnreadableFile as error:
        return Glance(error.what)
    keys = source.header.entries.keys()
    format = format_of(keys)
    other = lookalike(keys) or (kind_of(keys) if format is None else None)
    if other is not None or format is None:
        return Glance((other or kind_of(keys)).what)
    try:
        shapes = format.shapes(source.header.shapes)
        config = structure_of(shapes, source.header.metadata, source.config).config
    except ValueError:  # damaged, or its config is not supported: identify says how
        return Glance(CONTROLNET, needs_base=format.needs_base)
    return _of_config(CONTROLNET, config, format.needs_base)


def glance_at_model(path: str | Path) -> Glance:
    """Returns what a base model's file is.

    Raises:
        FileNotFoundError: no such file. PermissionError: no permission to read it.
    """
    try:
        source = open_source(path, "unet")
    except UnreadableFile as error:
        return Glance(error.what)
    try:
        return _of_config(MODEL, unet_config_of(_unet_shapes(source)))
    except ValueError:  # no Stable Diffusion UNet
        return Glance(kind_of(source.header.entries.keys()).what)


def _unet_shapes(source: WeightsSource) -> Mapping[str, tuple[int, ...]]:
    entries = source.header.entries
    return {new: entries[old].shape for old, new in unet_names(entries.keys()).items()}


def _of_config(what: str, config: UNetConfig, needs_base: bool = False) -> Glance:
    width, blocks = config.context_dim, config.num_blocks
    return Glance(what, family_of(config), width, blocks, needs_base)
