"""The search box for nodes, and the phrases that people type."""

from front import EMPTY, Front

FIRST = 3
TRIES = 24  # four a second
#: What 1.32 can find too: it searches names alone, and of those the first 30 letters or so.
BY_NAME = {
    "guess mode": "CFGHintRouting",
    "control mode": "CFGHintRouting",
    "soft weights": "BlockScaleSchedule",
    "block weights": "BlockScaleSchedule",
    "which controlnet": "IdentifyControlNet",
    "identify controlnet": "IdentifyControlNet",
    "train controlnet": "TrainControlNet",
    "see what controlnet does": "ControlXRay",
}
BY_ALIAS = {
    "my prompt is more important": "CFGHintRouting",
    "cond only": "CFGHintRouting",
    "controlnet weights": "BlockScaleSchedule",
    "strength curve": "BlockScaleSchedule",
}
FOUND = """() => [...document.querySelectorAll('[role=option]')]
    .map((row) => row.innerText.split('\\n')[0].replaceAll('\\u00a0', ' ').trim()).filter(Boolean)"""


def search(front: Front, phrase: str) -> None:
    """Types a phrase into the search box of an empty graph."""
    front.load(EMPTY)
    for _ in range(TRIES):
        front.page.mouse.dblclick(640, 430)
        front.page.wait_for_timeout(700)
        if front.page.evaluate("document.activeElement.tagName") == "INPUT":
            break  # a page that has just been opened may not hear the first clicks
    front.page.keyboard.type(phrase)


def offered(front: Front, name: str) -> list[str]:
    """Returns the names of the first nodes that are offered, once a node is among them, or after a while."""
    for _ in range(TRIES):
        front.page.wait_for_timeout(250)
        found = front.page.evaluate(FOUND)[:FIRST]
        if name in found:
            break
    return found
