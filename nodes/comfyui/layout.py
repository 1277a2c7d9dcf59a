"""CondBatch: one call of ComfyUI's `calc_cond_batch`, which checks the layout of the UNet calls inside it.

A tiler or another node between the two may call the UNet with other pictures, rows or sizes. Rows could then count for
the wrong branch, and the whole hint would be squeezed into a tile, so such a call raises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .frames import frames_of
from .host_types import Cond, Conds

#: Height and width of latents.
Size = tuple[int, int]

WAY_OUT = (
    "A node between the sampler and the model changes the batch (tiled samplers do). Use it without "
    "ApplyControlNet, or put the ControlNet on the conditionings with ComfyUI's own Apply ControlNet node."
)


@dataclass(frozen=True)
class CondBatch:
    """The lists of conds of one call of `calc_cond_batch`, and the shape of its latents."""

    conds: Sequence[Conds | None]
    pictures: int
    size: Size

    @classmethod
    def of(cls, conds: Sequence[Conds | None], x: Tensor) -> "CondBatch":
        """Returns the facts of a call with latents x (N, C, H, W)."""
        return cls(conds, len(x), (x.shape[-2], x.shape[-1]))

    @property
    def unguided(self) -> bool:
        """Whether one side is missing, as at CFG scale 1."""
        return any(conds is None for conds in self.conds)

    def has_work(self, sigma: Tensor) -> bool:
        """Whether any cond is active at a noise level, so that ComfyUI must call the UNet."""
        return any(_is_active(cond, sigma) for conds in self.conds for cond in conds or ())

    def frames(self, x: Tensor, options: Mapping[str, Any]) -> tuple[int, ...]:
        """Returns which picture of the whole batch each picture of a UNet call is.

        Args:
            x: the call's latents, (chunks x pictures, C, h, w).
            options: the call's transformer options.

        Raises:
            ValueError: the call has other rows, pictures or sizes than this batch asks for.
        """
        chunks: Sequence[int] = options["cond_or_uncond"]
        if not chunks or len(x) % len(chunks) or max(chunks) >= len(self.conds):
            raise ValueError(
                f"The UNet was called with {len(x)} rows for {len(chunks)} conditionings, so ApplyControlNet cannot "
                f"match the rows to them. {WAY_OUT}"
            )
        frames = frames_of(options, self.pictures)
        pictures = len(x) // len(chunks)
        if pictures != len(frames):
            raise ValueError(
                f"The UNet was called with {pictures} pictures per conditioning instead of {len(frames)}, so "
                f"ApplyControlNet cannot match the hints to them. {WAY_OUT}"
            )
        self._check_size((x.shape[-2], x.shape[-1]), chunks, options.get("uuids"))
        return frames

    def _check_size(
        self, size: Size, chunks: Sequence[int], uuids: Sequence[object] | None
    ) -> None:
        for position, index in enumerate(chunks):
            conds = self.conds[index] or ()
            same = [cond for cond in conds if uuids and cond.get("uuid") == uuids[position]]
            wanted = {_size_of(cond, self.size) for cond in same or conds} or {self.size}
            if size not in wanted:
                raise ValueError(
                    f"The UNet was called with latents of {size[1]} x {size[0]}, but the conditioning is for "
                    f"{' or '.join(f'{w} x {h}' for h, w in sorted(wanted))}, so ApplyControlNet cannot match the hint "
                    f"to them. {WAY_OUT}"
                )


def _is_active(cond: Cond, sigma: Tensor) -> bool:
    """Whether a noise level lies in a cond's timestep range; ComfyUI keeps its ends as noise levels."""
    start, end = cond.get("timestep_start"), cond.get("timestep_end")
    return not ((start is not None and sigma > start) or (end is not None and sigma < end))


def _size_of(cond: Cond, size: Size) -> Size:
    """Returns the size of a cond's latents: all of them, or the part of its area (height, width, y, x) inside them."""
    area = cond.get("area")
    if area is None:
        return size
    half = len(area) // 2
    (height, width), (y, x) = area[:2], area[half : half + 2]
    return min(size[0] - y, height), min(size[1] - x, width)
