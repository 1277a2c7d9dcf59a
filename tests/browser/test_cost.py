"""What a drag costs: no timing is asserted here but one median, in the browser's own performance log."""

import json
import time
from pathlib import Path
from statistics import median

from front import Front
from single import alone

SCHEDULE = "BlockScaleSchedule"

FRAME = 1 / 60  # s
MOVES = 90
BUDGET = 4.0  # ms a frame, of the 16.7 that there are


def test_a_drag_costs_less_than_a_quarter_of_a_frame(front: Front, tmp_path: Path) -> None:
    front.load(alone(SCHEDULE, front.host.info, {}), SCHEDULE)
    log = tmp_path / "performance.json"
    front.context.browser.start_tracing(page=front.page, path=str(log))
    _drag_at_60_hz(front)
    front.context.browser.stop_tracing()
    costs = _handler_costs(log)
    assert len(costs) > MOVES / 2
    assert median(costs) < BUDGET


def _drag_at_60_hz(front: Front) -> None:
    area = front.page.locator(".cnet-bars").bounding_box()
    mouse = front.page.mouse
    mouse.move(area["x"] + 2, area["y"] + area["height"] / 2)
    mouse.down()
    start = time.monotonic()
    for i in range(MOVES):
        x, y = i / MOVES, 0.5 + 0.4 * (i % 10 - 5) / 5
        mouse.move(area["x"] + x * area["width"], area["y"] + y * area["height"])
        time.sleep(max(0.0, start + (i + 1) * FRAME - time.monotonic()))
    mouse.up()


def _handler_costs(log: Path) -> list[float]:
    """Returns the page's time for each pointer move, in ms: EventDispatch in the log, without waits for a core."""
    events = json.loads(log.read_text())["traceEvents"]
    moves = [
        e
        for e in events
        if e["name"] == "EventDispatch" and e["args"]["data"]["type"] == "pointermove"
    ]
    return [e["tdur"] / 1000 for e in moves if "tdur" in e]
