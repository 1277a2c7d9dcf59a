"""Hints made from the pictures themselves, for samples that have none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..control.edges import find_edges


@dataclass(frozen=True)
class HintMaker:
    """Makes the hint of a picture.

    Args:
        name: stands for the result in the cache and in the record of a run; another rule needs another name.
        make: pictures (1, 3, H, W), 0..1 -> hints (1, 1 or 3, H, W), 0..1. It is called once per picture, at the
            size at which the run trains.
    """

    name: str
    make: Callable[[Tensor], Tensor]

    def hint(self, picture: Tensor) -> Tensor:
        """Returns the hint (1, 3, H, W) in 8 bits, as a PNG would keep it.

        Raises:
            ValueError: `make` returned another shape, or values outside 0..1.
        """
        made = self.make(picture)
        height, width = picture.shape[-2:]
        if made.shape not in ((1, 1, height, width), (1, 3, height, width)):
            raise ValueError(
                f"The hint maker {self.name!r} returned the shape {tuple(made.shape)} for a picture of "
                f"{tuple(picture.shape)}; it must return (1, 1, {height}, {width}) or (1, 3, {height}, {width})."
            )
        low, high = float(made.min()), float(made.max())
        if not 0 <= low <= high <= 1:  # also where one is NaN
            raise ValueError(
                f"The hint maker {self.name!r} returned values from {low:g} to {high:g}; hints are within 0..1."
            )
        return (made * 255).round().to(torch.uint8).expand(1, 3, height, width)


#: Name for the command line -> what makes the hints.
HINT_MAKERS: Mapping[str, HintMaker] = {"canny": HintMaker("canny", find_edges)}
