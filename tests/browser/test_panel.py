"""The views with the properties panel of newer front ends open; 1.32 has none, so there nodes are only selected."""

from collections.abc import Iterator

import pytest
from front import Front
from single import SHOWN, alone

#: Node -> the part of its view that is drawn in, and the name of the view's widget.
VIEWS = {
    "BlockScaleSchedule": (".cnet-bars", "cnet_editor"),
    "CFGHintRouting": (".cnet-diagram", "cnet_diagram"),
}
TOGGLE = "button[aria-label='Toggle properties panel']"
SELECT = "(kind) => app.canvas.selectNode(app.graph._nodes.find((n) => n.comfyClass === kind))"


@pytest.fixture
def beside_panel(front: Front) -> Iterator[Front]:
    """A page with the properties panel open, where there is one."""
    toggle(front)
    yield front
    toggle(front)


def toggle(front: Front) -> None:
    """Opens the properties panel, or closes it."""
    button = front.page.locator(TOGGLE)
    if button.count():
        button.first.click()
        front.page.wait_for_timeout(400)


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_keeps_its_width_and_is_no_row_of_the_panel(beside_panel: Front, kind: str) -> None:
    front, (drawn, name) = beside_panel, VIEWS[kind]
    front.load(alone(kind, front.host.info, SHOWN[kind]), kind)
    width = front.page.locator(drawn).bounding_box()["width"]
    front.page.evaluate(SELECT, kind)
    front.page.wait_for_timeout(800)
    assert front.page.get_by_text(name).count() == 0
    assert front.page.locator(drawn).bounding_box()["width"] == width
    front.page.evaluate("() => app.canvas.deselectAll()")
    front.page.wait_for_timeout(400)
    assert front.page.locator(drawn).bounding_box()["width"] == width
