"""FrameStrengths: a strength for each picture of a batch, such as the frames of a video."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .points import Points, interpolate, parse_points, rise
from .unit import MOST_VALUE


@dataclass(frozen=True)
class FrameStrengths:
    """Factors of a unit's strength by picture of the batch, equal to a constant mask for each picture.

    Pictures count from 0, in the batch that the sampler gets. A batch of fewer hints starts again after its last hint;
    the factors do not: they belong to the pictures.

    Args:
        points: (picture, factor), linear between them, constant before the first and after the last.
    """

    points: Points

    def __post_init__(self) -> None:
        places = [place for place, _ in self.points]
        if not places or not rise(places) or any(p < 0 or p != int(p) for p in places):
            raise ValueError(
                f"`frame_strengths` has the pictures {places}; they must be whole numbers from 0, and rise."
            )
        factors = [factor for _, factor in self.points]
        if not all(0 <= factor <= MOST_VALUE for factor in factors):
            raise ValueError(
                f"`frame_strengths` has the factors {factors}; they must lie in 0..{MOST_VALUE:g}. For more control "
                "raise `strength`."
            )

    @classmethod
    def parse(cls, text: str) -> "FrameStrengths | None":
        """Returns the strengths of a text such as `0:1, 8:0.3`; None for an empty text.

        Raises:
            ValueError: a part is not picture:factor, the pictures do not rise, or a factor lies outside 0..2.
        """
        points = parse_points(text, "frame_strengths", "picture:factor, such as 0:1, 8:0.3")
        return cls(points) if points else None

    def at(self, picture: int) -> float:
        """Returns the factor of a picture of the batch."""
        return interpolate(self.points, picture)

    def filter_gains(self, gains: Sequence[float], pictures: Sequence[int]) -> tuple[float, ...]:
        """Returns the gains of rows with 0 where the row's picture gets no control; masks carry the other factors.

        Args:
            gains: of each row.
            pictures: place of each row's picture in the batch.
        """
        return tuple(
            gain if self.at(picture) else 0.0 for gain, picture in zip(gains, pictures, strict=True)
        )

    def weigh_masks(self, masks: Tensor | None, pictures: Sequence[int]) -> Tensor:
        """Returns masks (N, H, W) for some pictures of the batch: each picture's mask times its factor.

        Args:
            masks: (H, W), (1, H, W) or one for each of `pictures`; None for full control.
            pictures: their places in the batch.
        """
        full = torch.ones(1, 1, 1) if masks is None else masks
        factors = torch.tensor([self.at(picture) for picture in pictures]).to(full)
        return full * factors[:, None, None]
