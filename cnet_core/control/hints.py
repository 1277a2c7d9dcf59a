"""Hints: turns pictures into tensors (N, C, 8H, 8W), 0..1, of the size that the latents need."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..nets.controlnet import HINT_DOWNSCALE

Fit = Literal["crop", "stretch", "pad"]
#: White in Pillow's gray modes of more than 8 bits; it opens 16-bit files as I;16, older ones as I.
GRAY_PEAKS = {"I;16": 65535.0, "I;16B": 65535.0, "I;16L": 65535.0, "I": 65535.0, "F": 1.0}
#: By this fraction of white a gray value may exceed its range.
ROUNDING = 1e-3
ADVICE = "save it as 8 or 16 bits, or as floats within 0..1"
FITS: tuple[Fit, ...] = ("crop", "stretch", "pad")


def hint_from_image(image: Image.Image) -> Tensor:
    """Returns a picture as a hint: (1, 3, H, W), float32, 0..1. Transparent parts are black, 16 bits are kept.

    Raises:
        ValueError: a gray picture of floats outside 0..1, or of 32-bit integers, whose value for white is unknown.
    """
    check_gray(image)
    return tensor_of(image)


def tensor_of(image: Image.Image) -> Tensor:
    """As hint_from_image, for a picture that was already checked; gray values are clamped to black and white."""
    if image.mode in GRAY_PEAKS:
        gray = np.asarray(image, dtype=np.float32) / GRAY_PEAKS[image.mode]
        array = np.repeat(gray[:, :, None], 3, axis=2).clip(0, 1)
    else:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        array = (
            np.asarray(Image.alpha_composite(black, rgba).convert("RGB"), dtype=np.float32) / 255
        )
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None]


def check_gray(image: Image.Image, name: str = "The picture") -> None:
    """Raises ValueError for gray pictures whose value for white is unknown: floats outside 0..1, and 32-bit integers.

    Give the picture as Pillow opened it: a copy loses its file's format.
    """
    if image.mode == "I" and image.format == "TIFF":
        raise ValueError(
            f"{name} holds 32-bit or signed integers, whose value for white is unknown; {ADVICE}"
        )
    if image.mode not in ("I", "F"):
        return
    values = np.asarray(image)
    low, high, white = float(values.min()), float(values.max()), GRAY_PEAKS[image.mode]
    room = ROUNDING * white
    if not -room <= low <= high <= white + room:  # also where one is NaN
        raise ValueError(
            f"{name} holds values from {low:g} to {high:g}, not 0 to {white:g}; {ADVICE}"
        )


def fit_hint(hint: Tensor, height: int, width: int, fit: Fit = "crop") -> Tensor:
    """Returns a hint (N, C, H, W) at exactly `height` x `width` pixels.

    Args:
        hint: any size.
        height, width: 8 times the latent's.
        fit: "crop" cuts the longer sides evenly and resizes (ComfyUI's own rule), "stretch" ignores the
            proportions, "pad" adds black borders. Resizing is nearest-exact, so lines stay lines
            and values such as an inpaint hint's -1 survive.
    """
    if fit not in FITS:
        raise ValueError(f"`hint_fit` is {fit!r}; it must be one of {', '.join(FITS)}.")
    if 0 in hint.shape:
        raise ValueError(f"The hint has the shape {tuple(hint.shape)}: it holds no pixels.")
    if hint.shape[-2:] == (height, width):
        return hint
    if fit == "crop":
        return _resize(_centre_crop(hint, height / width), height, width)
    if fit == "stretch":
        return _resize(hint, height, width)
    return _pad(hint, height, width)


def latent_size(hint: Tensor) -> tuple[int, int]:
    """Returns the latent's (height, width) for a hint (N, C, 8H, 8W).

    Raises:
        ValueError: a side that is not a multiple of 8.
    """
    height, width = hint.shape[-2:]
    if height % HINT_DOWNSCALE or width % HINT_DOWNSCALE:
        raise ValueError(
            f"The hint is {width} x {height} pixels; both sides must be multiples of {HINT_DOWNSCALE}."
        )
    return height // HINT_DOWNSCALE, width // HINT_DOWNSCALE


def _centre_crop(hint: Tensor, aspect: float) -> Tensor:
    """Crops the sides that are too long for `aspect` = height / width; rounding as ComfyUI's common_upscale does."""
    height, width = hint.shape[-2:]
    x = round((width - width * (height / width) / aspect) / 2) if height / width < aspect else 0
    y = round((height - height * aspect / (height / width)) / 2) if height / width > aspect else 0
    return hint[..., y : height - y, x : width - x]


def _pad(hint: Tensor, height: int, width: int) -> Tensor:
    scale = min(height / hint.shape[-2], width / hint.shape[-1])
    inner_height, inner_width = (max(1, round(side * scale)) for side in hint.shape[-2:])
    inner = _resize(hint, inner_height, inner_width)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    return F.pad(inner, (left, width - inner_width - left, top, height - inner_height - top))


def _resize(hint: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(hint, size=(height, width), mode="nearest-exact")
