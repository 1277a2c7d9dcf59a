"""Edges and hint files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cnet_core.control.edges import find_edges
from cnet_core.tiny.hint_file import read_hint
from cnet_core.tiny.measure import iou
from cnet_core.tiny.outlines import fill_outline
from cnet_core.tiny.shapes import distance_field, outline, place_shapes
from cnet_core.tiny.sketches import GROWTH, draw_edges


def test_edges_of_a_drawing_are_its_outline() -> None:
    field = distance_field(place_shapes(8, torch.Generator().manual_seed(5)), 128)
    edges = find_edges((0.5 - field).clamp(0, 1)[:, None].expand(-1, 3, -1, -1))
    assert (
        float(field.abs()[edges[:, 0] > 0.5].max()) < 3
    )  # no line is further than 3 pixels from the border
    assert float(iou(fill_outline(edges), field < 0).median()) > 0.93


def test_flat_and_faintly_noisy_pictures_have_no_edges() -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.01
    assert not find_edges(0.5 + noise).any()


@pytest.mark.parametrize("find", [find_edges, draw_edges])
def test_edges_do_not_depend_on_the_default_device(find: Callable[[Tensor], Tensor]) -> None:
    picture = noise()
    expected = find(picture)
    with torch.device("meta"):
        found = find(picture)
    assert expected.any()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("find", [find_edges, draw_edges])
def test_edges_of_doubles_are_those_of_floats(find: Callable[[Tensor], Tensor]) -> None:
    assert torch.equal(find(noise().double()).bool(), find(noise()).bool())


def noise() -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def test_a_weak_edge_is_followed_to_its_end_or_for_a_fixed_number_of_pixels() -> None:
    fading = torch.cat([torch.linspace(1, 0.15, 60), torch.full((100,), 0.15)])
    picture = torch.zeros(1, 3, 32, 160)
    picture[..., 16:, :] = fading  # below 0.2, so weak, from pixel 56 on
    whole, part = (find(picture)[0, 0].amax(0) for find in (find_edges, draw_edges))
    assert whole.all()
    assert part[: 56 + GROWTH - 2].all()
    assert not part[56 + GROWTH + 2 :].any()


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def disc(size: int) -> Image.Image:
    at = np.arange(size) - size / 2
    inside = at[:, None] ** 2 + at[None] ** 2 < (0.35 * size) ** 2
    return Image.fromarray(
        np.where(inside[..., None], [220, 60, 40], [30, 40, 90]).astype(np.uint8)
    )


@pytest.mark.parametrize("size", [(64, 64), (500, 300), (800, 1200)])
def test_photos_become_lines_of_the_asked_size(tmp_path: Path, size: tuple[int, int]) -> None:
    photo = Image.new("RGB", size, (30, 40, 90))
    photo.paste(disc(min(size)), ((size[0] - min(size)) // 2, (size[1] - min(size)) // 2))
    hint = read_hint(save(tmp_path / "a.png", photo), 128)
    assert hint.shape == (1, 3, 128, 128)
    assert 0 < float(hint.mean()) < 0.1
    assert float(fill_outline(hint).float().mean()) > 0.1


@pytest.mark.parametrize("size", [100, 128, 512, 2000])
def test_thin_lines_stay_closed_at_any_size(tmp_path: Path, size: int) -> None:
    placed = place_shapes(1, torch.Generator().manual_seed(3))
    line = outline(distance_field(placed, size), 1.5)[0, 0].numpy()
    path = save(tmp_path / "lines.png", Image.fromarray((line * 255).astype(np.uint8)))
    assert fill_outline(read_hint(path, 128, is_edges=True)).any()


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "CMYK"])
def test_picture_modes_are_read(tmp_path: Path, mode: str) -> None:
    ending = "tif" if mode == "CMYK" else "png"
    assert read_hint(save(tmp_path / f"a.{ending}", disc(200).convert(mode)), 128).any()


def test_16_bit_and_animated_pictures_are_read(tmp_path: Path) -> None:
    deep = Image.fromarray(np.asarray(disc(200).convert("L")).astype(np.uint16) * 257)
    assert read_hint(save(tmp_path / "deep.png", deep), 128).any()
    frames = [disc(200), Image.new("RGB", (200, 200))]
    moving = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read_hint(moving, 128).any()


def test_bad_files_are_named(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("hello")
    cut = tmp_path / "cut.png"
    cut.write_bytes(save(tmp_path / "whole.png", disc(200)).read_bytes()[:300])
    dot = save(tmp_path / "dot.png", Image.new("RGB", (1, 1)))
    huge = save(tmp_path / "huge.png", Image.new("1", (8001, 8000)))
    for path, words in (
        (text, "is not a picture"),
        (cut, "damaged picture"),
        (dot, "1 x 1 pixels"),
        (huge, "more than 64 million pixels"),
    ):
        with pytest.raises(ValueError, match=words):
            read_hint(path, 128)
    with pytest.raises(FileNotFoundError):
        read_hint(tmp_path / "none.png", 128)
    with pytest.raises(IsADirectoryError):
        read_hint(tmp_path, 128)
