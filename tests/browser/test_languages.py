"""Names and help of our nodes in the languages of the pack."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from front import Front
from host import REPOSITORY
from single import alone

SCHEDULE = "BlockScaleSchedule"
LANGUAGES = ("ko", "ja", "zh")
#: What stands on the node: its name, and those of its widgets and its output.
NAMES = """(kind) => {
    const node = app.graph._nodes.find((n) => n.comfyClass === kind);
    const widgets = node.widgets.filter((w) => w.serialize !== false);
    return [node.title, ...widgets.map((w) => w.label), node.outputs[0].localized_name];
}"""
HELP = """(kind) => {
    const canvas = app.canvas;
    canvas.selectNode(app.graph._nodes.find((n) => n.comfyClass === kind));
}"""
INFO = "[data-testid='info-button'], .icon-\\[lucide--info\\]"


@pytest.fixture(params=LANGUAGES)
def spoken(front: Front, request: pytest.FixtureRequest) -> Iterator[tuple[Front, dict[str, Any]]]:
    """A further page in another language, and that language's texts."""
    other = Front(front.context.browser, front.host, vue=front.vue, locale=request.param)
    file = REPOSITORY / "locales" / request.param / "nodeDefs.json"
    yield other, json.loads(file.read_text(encoding="utf-8"))[SCHEDULE]
    assert not other.take_errors()
    other.close()
    front.host.post("/settings/Comfy.Locale", "en")


def test_a_node_speaks_the_users_language(spoken: tuple[Front, dict[str, Any]]) -> None:
    front, texts = spoken
    front.load(alone(SCHEDULE, front.host.info, {}), SCHEDULE)
    wanted = [texts["display_name"], *(entry["name"] for entry in texts["inputs"].values())]
    assert front.page.evaluate(NAMES, SCHEDULE) == [*wanted, texts["outputs"]["0"]["name"]]


def test_help_is_there_with_its_picture(spoken: tuple[Front, dict[str, Any]]) -> None:
    front, texts = spoken
    front.load(alone(SCHEDULE, front.host.info, {}), SCHEDULE)
    front.page.evaluate(HELP, SCHEDULE)
    front.page.locator(INFO).first.evaluate(
        "(button) => (button.closest('button') ?? button).click()"
    )
    picture = front.page.locator(f"img[src*='{SCHEDULE}.png']").first
    picture.wait_for()
    assert picture.evaluate("async (image) => (await image.decode(), image.naturalWidth)") > 300
    assert front.page.get_by_role("heading", name=texts["display_name"]).first.is_visible()
