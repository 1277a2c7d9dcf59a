"""The editor in other palettes, zoomed and collapsed. With CNET_SCREENSHOTS its pictures are kept, to be looked at."""

import os
from pathlib import Path

import pytest
from contrast import READABLE, contrast
from front import Front
from single import SHOWN, alone

SCHEDULE = "BlockScaleSchedule"
#: Text, the bars, and the ground that both stand on, as the browser draws them: each (red, green, blue), 0..255.
COLOURS = """() => {
    const colour = (selector, name, part) =>
        getComputedStyle(document.querySelector(selector), part)[name].match(/[\\d.]+/g).slice(0, 3).map(Number);
    return [colour('.cnet-value', 'color'), colour('.cnet-bar', 'backgroundColor', '::before'),
        colour('.cnet-value', 'backgroundColor')];
}"""

#: A type's colour in sockets and links of the canvas, and in Vue nodes.
SOCKET_COLOURS = """(kind) => [
    app.canvas.default_connection_color_byType[kind], app.canvas.constructor.link_type_colors[kind],
    getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${kind}`).trim()]"""
#: Small text on the ground of the bars, and its colour as a canvas paints it.
SMALL = (".cnet-axis", ".cnet-groups")
PAINTED = """(selector) => {
    const pen = document.createElement('canvas').getContext('2d');
    pen.fillStyle = getComputedStyle(document.querySelector(selector)).color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture
def shown(front: Front) -> Front:
    """A page with a telling schedule."""
    front.load(alone(SCHEDULE, front.host.info, SHOWN[SCHEDULE]), SCHEDULE)
    return front


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_text_and_bars_stand_out(shown: Front, palette: str) -> None:
    shown.page.evaluate(
        "(id) => app.extensionManager.setting.set('Comfy.ColorPalette', id)", palette
    )
    shown.page.wait_for_timeout(500)
    keep(shown, palette)
    text, bars, ground = shown.page.evaluate(COLOURS)
    assert contrast(text, ground) > READABLE
    assert contrast(bars, ground) > 1.8
    for selector in SMALL:
        assert contrast(shown.page.evaluate(PAINTED, selector), ground) > READABLE, selector


@pytest.mark.parametrize("palette", ["light", "dark"])
def test_our_sockets_and_links_have_colours_in_every_palette(front: Front, palette: str) -> None:
    front.page.evaluate(
        "(id) => app.extensionManager.setting.set('Comfy.ColorPalette', id)", palette
    )
    front.page.wait_for_timeout(500)
    for kind in ("CNET_ROUTING", "CNET_SCALES"):
        drawn = front.page.evaluate(SOCKET_COLOURS, kind)
        assert len(set(drawn)) == 1, drawn
        assert drawn[0].startswith("#"), drawn


@pytest.mark.parametrize("scale", [0.6, 1.6])
def test_the_pointer_hits_the_same_bars_at_any_zoom(shown: Front, scale: float) -> None:
    shown.show(SCHEDULE, scale)
    keep(shown, f"zoom_{scale}")
    shown.sweep((6.5 / 13, 0.9), (6.5 / 13, 0.4))
    assert shown.bars()[6] == pytest.approx(0.6, abs=0.02)
    assert shown.bars()[7] == 0.7


def test_a_collapsed_node_hides_the_bars_and_keeps_them(shown: Front) -> None:
    bars = shown.bars()
    collapse = "() => { app.graph._nodes[0].collapse(); app.canvas.setDirty(true, true); }"
    shown.page.evaluate(collapse)
    shown.page.wait_for_timeout(400)
    keep(shown, "collapsed")
    assert not shown.page.locator(".cnet-bars").is_visible()
    shown.page.evaluate(collapse)
    shown.page.wait_for_timeout(400)
    assert shown.page.locator(".cnet-bars").is_visible()
    assert shown.bars() == bars


def keep(front: Front, name: str) -> None:
    """Writes a screenshot where CNET_SCREENSHOTS says."""
    folder = os.environ.get("CNET_SCREENSHOTS")
    if folder:
        mode = "vue" if front.vue else "classic"
        front.page.screenshot(path=Path(folder) / f"{front.host.base.name}_{mode}_{name}.png")
