"""PictureSamples: pictures, hints and prompts from a folder; latents are computed once and kept on disk."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..checkpoints.container.files import read_tensors, write_tensors
from ..control.hints import GRAY_PEAKS, check_gray, tensor_of
from .base import Batch
from .data import Progress, UsableItems
from .layouts import Stored
from .made_hints import HintMaker
from .order import Visit
from .picture_formats import open_picture

logger = logging.getLogger("cnet")


@dataclass(frozen=True)
class Cache:
    """Tensors on disk, by a text with everything that they depend on."""

    folder: Path

    def get(self, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Returns the tensors under `key`; computes and stores them first if they are missing or damaged."""
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
        kept = _read_cache(path)
        if kept is not None:
            return kept
        self.folder.mkdir(parents=True, exist_ok=True)
        write_tensors({k: v.cpu() for k, v in make().items()}, path, {})
        return read_tensors(path)[0]


class PictureEncoder(Protocol):
    """Turns pictures into latents."""

    @property
    def name(self) -> str:
        """A name that no other encoder has."""
        ...

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation (B, 4, H/8, W/8) of the latents of pictures (B, 3, H, W), 0..1."""
        ...


@dataclass(frozen=True)
class PictureSamples:
    """The samples of a folder, cropped to their buckets."""

    found: UsableItems
    encoder: PictureEncoder
    cache: Cache
    hint_maker: HintMaker | None = None  # for samples without a hint

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """(height, width) in pixels of every sample's bucket."""
        return self.found.sizes

    def prepare(self, flip: bool, progress: Progress | None = None) -> None:
        """Computes all missing latents and made hints, so that no training step has to."""
        for index, item in enumerate(self.found.items):
            if item.hint is None or not item.hint.is_cheap:
                self._hint(index, False)
            for flipped in (False, True) if flip else (False,):
                self._moments(index, flipped)
            if progress is not None:
                progress(index + 1, len(self.sizes))

    def batch(self, visits: Sequence[Visit], flips: Sequence[bool]) -> Batch:
        """Returns the samples of these visits; draws new latents from the encoder's distribution."""
        pairs = list(zip(visits, flips, strict=True))
        return Batch(
            torch.cat([self._latents(visit, flip) for visit, flip in pairs]),
            torch.cat([self._hint(visit.index, flip) for visit, flip in pairs]),
            tuple(self.found.items[visit.index].prompt for visit in visits),
        )

    def _latents(self, visit: Visit, flip: bool) -> Tensor:
        moments = self._moments(visit.index, flip)
        noise = torch.randn(moments["mean"].shape, generator=visit.generator("latent"))
        return moments["mean"] + moments["std"] * noise

    def _moments(self, index: int, flip: bool) -> dict[str, Tensor]:
        item, size = self.found.items[index], self.sizes[index]
        key = f"{self.encoder.name} {item.picture_digest} {size} {flip}"

        def encode() -> dict[str, Tensor]:
            picture = self._picture(index)
            mean, std = self.encoder.encode(picture.flip(-1) if flip else picture)
            return {"mean": mean.float(), "std": std.float()}

        return self.cache.get(key, encode)

    def _picture(self, index: int) -> Tensor:
        item, size = self.found.items[index], self.sizes[index]
        return _fit_picture(item.picture.read(), item.picture.path, size, Image.Resampling.LANCZOS)

    def _hint(self, index: int, flip: bool) -> Tensor:
        item, size = self.found.items[index], self.sizes[index]
        if item.hint is None:
            hint = self._make_hint(index)
        else:
            content = self._hint_bytes(item.hint, item.hint_digest)
            hint = _fit_picture(content, item.hint.path, size, Image.Resampling.BILINEAR)
        return hint.flip(-1) if flip else hint

    def read_stored_hint(self, index: int) -> Tensor:
        """Returns a hint in the size in which it is stored, (1, 3, H, W), 0..1; a made one in its bucket's."""
        item = self.found.items[index]
        if item.hint is None:
            return self._make_hint(index)
        return tensor_of(_open_whole(self._hint_bytes(item.hint, item.hint_digest), item.hint.path))

    def _make_hint(self, index: int) -> Tensor:
        item, size, maker = self.found.items[index], self.sizes[index], self.hint_maker
        if maker is None:
            raise ValueError(f"{item.picture.path} has no hint, and no hint maker was given.")
        key = f"hint {maker.name} {item.picture_digest} {size}"
        kept = self.cache.get(key, lambda: {"hint": maker.hint(self._picture(index)).contiguous()})
        return kept["hint"].float() / 255

    def _hint_bytes(self, hint: Stored, digest: str) -> bytes:
        """Returns an encoded hint; a hint that is slow to read is copied to the cache first."""
        if hint.is_cheap:
            return hint.read()

        def copy() -> dict[str, Tensor]:
            return {"bytes": torch.frombuffer(bytearray(hint.read()), dtype=torch.uint8)}

        return self.cache.get(f"hint bytes {digest}", copy)["bytes"].numpy().tobytes()


def _read_cache(path: Path) -> dict[str, Tensor] | None:
    """Returns the tensors of a cache file; None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        return read_tensors(path)[0]
    except ValueError as error:
        logger.warning("A cached file is damaged and will be computed again: %s", error)
        return None


def _fit_picture(
    content: bytes, path: Path, size: tuple[int, int], method: Image.Resampling
) -> Tensor:
    """Returns an encoded picture as (1, 3, H, W), 0..1, scaled to cover its bucket and cropped at the centre."""
    return tensor_of(ImageOps.fit(_open_whole(content, path), (size[1], size[0]), method))


def _open_whole(content: bytes, path: Path) -> Image.Image:
    """Returns an encoded picture, upright and in a mode that Pillow scales well."""
    with open_picture(content) as image:
        check_gray(image, str(path))
        return _make_scalable(ImageOps.exif_transpose(image))


def _make_scalable(image: Image.Image) -> Image.Image:
    """Returns a picture in a mode that Pillow scales well; keeps more than 8 bits of gray, in mode F."""
    if image.mode in GRAY_PEAKS:
        return Image.fromarray(tensor_of(image)[0, 0].numpy())
    return image if image.mode in ("L", "RGB") else image.convert("RGBA")
