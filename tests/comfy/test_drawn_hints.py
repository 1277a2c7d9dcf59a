"""Draw Hint draws what its numbers say, pixel by pixel."""

import io
import urllib.parse
import urllib.request

import pytest
import torch
from graphs import Graph, Link, output
from host import Failed, Host
from PIL import Image
from torch import Tensor

SIDE = 64
CIRCLE = {"shape": "circle", "radius": 0.25, "x": 0.5, "y": 0.375, "angle": 0.0, "side": SIDE}
#: The circle in pixels, counted from the upper left corner: centre and radius.
X, Y, RADIUS = 32.0, 24.0, 16.0
#: How far from the circle a line may reach, and from where on it is certainly over; and the mask's margin.
LINE, OVER, MARGIN = 0.5, 2.5, 4.0


def shown(host: Host, graph: Graph, node: Link) -> Tensor:
    """Runs a graph and returns the picture that a node shows, (H, W, 3), 0..1."""
    (picture,) = host.run(graph.nodes)[node[0]]["images"]
    address = f"{host.url}/view?{urllib.parse.urlencode(picture)}"
    with urllib.request.urlopen(address) as answer:
        image = Image.open(io.BytesIO(answer.read())).convert("RGB")
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.reshape(image.height, image.width, 3) / 255


def distances(x: float, y: float) -> Tensor:
    """Returns how far the middle of each pixel is from a point, (SIDE, SIDE)."""
    middles = torch.arange(SIDE) + 0.5
    return torch.hypot(middles[None] - x, middles[:, None] - y)


def test_a_circle_is_a_white_line_where_its_numbers_say(comfy: Host) -> None:
    graph = Graph()
    hint = shown(comfy, graph, graph.add("DrawTinyHint", **CIRCLE))
    away = (distances(X, Y) - RADIUS).abs()
    assert hint.shape == (SIDE, SIDE, 3)
    assert bool((hint[away < LINE] > 0.75).all())
    assert bool((hint[away > OVER] == 0).all())


def test_its_mask_is_the_shape_with_a_margin(comfy: Host) -> None:
    graph = Graph()
    mask = graph.add("MaskToImage", mask=output(graph.add("DrawTinyHint", **CIRCLE), 1))
    drawn = shown(comfy, graph, graph.add("PreviewImage", images=mask))
    beyond = distances(X, Y) - RADIUS
    assert bool((drawn[beyond < MARGIN - 1] == 1).all())
    assert bool((drawn[beyond > MARGIN + 1] == 0).all())


def test_drawn_on_another_both_are_there(comfy: Host) -> None:
    graph = Graph()
    below = graph.add("DrawTinyHint", **{**CIRCLE, "x": 0.25, "radius": 0.125})
    hint = shown(comfy, graph, graph.add("DrawTinyHint", **CIRCLE, draw_on=below))
    assert bool((hint[(distances(X, Y) - RADIUS).abs() < LINE] > 0.75).all())
    assert bool((hint[(distances(16.0, Y) - 8.0).abs() < LINE] > 0.75).all())


def test_another_size_below_is_refused_with_both_sizes(comfy: Host) -> None:
    graph = Graph()
    below = graph.add("DrawTinyHint", **{**CIRCLE, "side": 128})
    graph.add("DrawTinyHint", **CIRCLE, draw_on=below)
    with pytest.raises(Failed, match=r"`draw_on` is 128 x 128 pixels, but `side` is 64\."):
        comfy.run(graph.nodes)
