"""OwnBlocks: the different tensors in a control, and where they stand between detail and layout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy.cldm.mmdit import ControlNet as SD3ControlNet
from comfy.ldm.hydit.models import HunYuanDiT
from torch import Tensor

from ....cnet_core import BlockScales
from ....cnet_core.control.axis import BlockAxis
from .accept import inner_model

#: ComfyUI's control: entries by where they are added. A model takes them in this order.
EntryLists = Mapping[str, Sequence[Tensor | None]]
KEYS = ("input", "middle", "output")
#: Modules with one layer for each own block, by their names in ComfyUI's classes.
BLOCK_LISTS = ("controlnet_blocks", "controlnet_single_blocks", "after_proj_list", "control_blocks")


@dataclass(frozen=True)
class OwnBlocks:
    """A control with its shared tensors found: one net's block may be added at many places of a model.

    Attributes:
        tensors: the different ones, in the order in which the model meets them first.
        places: key -> which of `tensors` each entry is; None where there is none.
    """

    tensors: tuple[Tensor, ...]
    places: Mapping[str, tuple[int | None, ...]]

    @classmethod
    def of(cls, control: EntryLists) -> "OwnBlocks":
        """Returns the blocks of a control as a net's `get_control` returned it."""
        tensors: list[Tensor] = []
        index: dict[int, int] = {}
        places: dict[str, tuple[int | None, ...]] = {}
        for key in KEYS:
            found: list[int | None] = []
            for entry in control.get(key, ()):
                if entry is not None and id(entry) not in index:
                    index[id(entry)] = len(tensors)
                    tensors.append(entry)
                found.append(None if entry is None else index[id(entry)])
            places[key] = tuple(found)
        return cls(tuple(tensors), places)

    @property
    def owners(self) -> tuple[tuple[int | None, ...], ...]:
        """Which of the tensors each entry is, by key in the order of KEYS."""
        return tuple(self.places[key] for key in KEYS)

    def scales(self, scales: BlockScales, model: Any, side: float) -> tuple[float, ...]:
        """Returns the scale of each block, in their order.

        Args:
            scales: numbers of `custom` go from detail to layout.
            model: that takes the control.
            side: sqrt(h*w) of its latents.
        """
        axis = self._axis(model, side)
        order = sorted(range(len(axis.depths)), key=lambda block: axis.depths[block])
        found = scales.along(axis.take(order))
        by_block = dict(zip(order, found, strict=True))
        return tuple(by_block[block] for block in range(len(order)))

    def _axis(self, model: Any, side: float) -> BlockAxis:
        if is_unet(model):
            depths = self._unet_depths(len(model.output_blocks))
            sizes = tuple((t.shape[-2] * t.shape[-1]) ** 0.5 for t in self.tensors)
            return BlockAxis(depths, len(model.output_blocks), sizes, side)
        axis = BlockAxis.of_tokens(len(self.tensors))
        if isinstance(
            model, HunYuanDiT
        ):  # its blocks feed skip connections, the first one the shallowest
            return axis.take(range(len(self.tensors))[::-1])
        return axis

    def _unet_depths(self, skips: int) -> tuple[float, ...]:
        depths = dict[int, float]()
        for key, places in self.places.items():
            for entry, block in enumerate(places):
                if block is not None:
                    depths.setdefault(block, unet_depth(key, entry, len(places), skips))
        return tuple(depths[block] for block in range(len(self.tensors)))


def is_unet(model: Any) -> bool:
    """Whether a model is a UNet of Stable Diffusion, whose blocks are known by their depth."""
    return hasattr(model, "output_blocks")


def unet_depth(key: str, entry: int, entries: int, skips: int) -> int:
    """Returns which skip connection an entry belongs to, shallow to deep; the middle is the last.

    A UNet takes entries from the end of their lists.
    """
    return {"input": entries - 1 - entry, "output": entry, "middle": skips}[key]


def own_block_count(control_net: Any) -> int | None:
    """Returns how many blocks of its own a control net has; None where its class does not show it."""
    model = inner_model(control_net)
    if hasattr(model, "unshuffle_amount"):  # a T2I-Adapter has one for each of its widths
        return len(model.channels)
    if hasattr(model, "zero_convs"):
        return len(model.zero_convs) + 1
    layers = [len(getattr(model, name)) for name in BLOCK_LISTS if hasattr(model, name)]
    # SD3's last layer feeds one place less, so none where each layer feeds one.
    unused = isinstance(model, SD3ControlNet) and model.depth == len(model.joint_blocks)
    return sum(layers) - unused or None
