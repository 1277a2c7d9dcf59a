"""Which formats of pictures training reads: none that makes Pillow start another program, as EPS does."""

import functools
import io

from PIL import Image

#: Pillow's names. A Pillow without one of them reads the others.
FORMATS = (
    *("PNG", "JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "GIF"),
    *("PPM", "TGA", "PCX", "ICO", "SGI", "QOI"),
)


def open_picture(content: bytes) -> Image.Image:
    """Returns an encoded picture, not read yet. Raises OSError for one of another format."""
    return Image.open(io.BytesIO(content), formats=_known_formats())


@functools.cache
def picture_endings() -> frozenset[str]:
    """Returns the endings of the files that are pictures, in small letters."""
    known = _known_formats()
    return frozenset(end for end, format in Image.EXTENSION.items() if format in known)


@functools.cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(format for format in FORMATS if format in Image.OPEN)
