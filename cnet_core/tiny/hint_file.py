"""Reads a user's picture as a hint for the tiny model: opens it safely, and finds a photo's edges."""

import warnings
from pathlib import Path

import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..control.hints import check_gray, fit_hint, tensor_of
from .edges import find_edges

#: Smaller pictures hold no shape; larger ones would only fill the memory.
MIN_SIDE, MAX_PIXELS = 8, 64_000_000


def read_hint(path: Path, side: int, *, is_edges: bool = False) -> Tensor:
    """Returns the hint of a picture file: (1, 3, side, side), 0..1, the middle square of the picture.

    Uses the first frame of an animation; transparent parts are black.

    Args:
        path: a file that Pillow reads.
        side: in pixels.
        is_edges: the picture already is white lines on black; else its edges are found.

    Raises:
        OSError: no such file, or one that cannot be read.
        ValueError: not a picture, a damaged one, or one of an impossible size.
    """
    picture = tensor_of(_open_image(path))
    square = min(picture.shape[-2:])
    picture = fit_hint(picture, square, square)
    return _shrink_lines(picture, side) if is_edges else find_edges(_smooth(picture, side))


def _open_image(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # checked below
            with Image.open(path) as image:
                _check_size(path, image.size)
                check_gray(image, str(path))
                return ImageOps.exif_transpose(image)  # a copy, rotated as the camera was held
    except (UnidentifiedImageError, SyntaxError) as error:
        raise ValueError(f"{path} is not a picture; use a PNG, JPEG or WebP file.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large(path)) from error
    except OSError as error:
        if error.errno is not None:
            raise  # no such file, a folder, no permission: the system's own words
        raise ValueError(f"{path} is a damaged picture ({error}); save it again.") from error


def _check_size(path: Path, size: tuple[int, int]) -> None:
    if min(size) < MIN_SIDE:
        raise ValueError(
            f"{path} has {size[0]} x {size[1]} pixels; a hint needs at least {MIN_SIDE} on each side."
        )
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(_too_large(path))


def _too_large(path: Path) -> str:
    return f"{path} has more than {MAX_PIXELS // 1_000_000} million pixels; scale it down first."


def _smooth(picture: Tensor, side: int) -> Tensor:
    resized = F.interpolate(picture, (side, side), mode="bilinear", antialias=True)
    return resized.clamp(0, 1)


def _shrink_lines(lines: Tensor, side: int) -> Tensor:
    """Keeps thin lines whole: when shrinking, each pixel takes the brightest pixel that it covers."""
    if lines.shape[-1] <= side:
        return fit_hint(lines, side, side)
    return F.adaptive_max_pool2d(lines, side)
