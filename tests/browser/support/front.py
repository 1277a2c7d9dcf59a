"""ComfyUI's front end in a browser: what a person sees and does there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host import REPOSITORY, Host

START = 120_000  # ms, at most, until the page is there
SIZE = {"width": 1280, "height": 860}
#: Where the browser gets our files from; what is logged from there is ours.
OURS = "/extensions/cnet/"
READY = (
    "window.app?.graph && window.app.extensionManager?.workflow && document.querySelector('canvas')"
)
#: What lies over the graph.
MENUS = ".comfyui-body-top, .side-tool-bar-container, .actionbar, .p-toast, .splitter-overlay-root"
#: Without what stands over the graph.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Graph.CanvasMenu": False,
    "Comfy.VueNodes.AutoScaleLayout": False,
}
#: A graph without nodes.
EMPTY = {
    "last_node_id": 0,
    "last_link_id": 0,
    "nodes": [],
    "links": [],
    "groups": [],
    "config": {},
    "extra": {},
    "version": 0.4,
}
#: The place of nodes and groups on the screen: of one kind, or all.
BOUNDS = """(kind) => {
    const nodes = app.graph._nodes.filter((n) => !kind || n.comfyClass === kind);
    const groups = kind ? [] : app.graph._groups;
    const boxes = [...nodes.map((n) => [n.pos[0], n.pos[1] - 32, n.size[0], n.size[1] + 32]),
        ...groups.map((g) => [...g.pos, ...g.size])];
    const [left, top] = [0, 1].map((i) => Math.min(...boxes.map((b) => b[i])));
    const [right, low] = [0, 1].map((i) => Math.max(...boxes.map((b) => b[i] + b[i + 2])));
    const { scale, offset } = app.canvas.ds;
    return [(left + offset[0]) * scale, (top + offset[1]) * scale, (right - left) * scale, (low - top) * scale];
}"""
SHOW = """async ({kind, scale}) => {
    const node = app.graph._nodes.find((n) => n.comfyClass === kind);
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [-node.pos[0] + 160 / scale, -node.pos[1] + 150 / scale];
    app.canvas.setDirty(true, true);
}"""

#: Opens a template as the dialog of templates does.
OPEN = """async (name) => {
    const answer = await fetch(`/api/workflow_templates/cnet/${encodeURIComponent(name)}.json`);
    await app.loadGraphData(await answer.json(), true, true, name);
}"""
#: What waits for an answer; the pictures that tabs show of their graphs have the role, too, and lie over nothing.
DIALOG = "[role=dialog][aria-modal=true]:visible"
#: Returns null where a place on the screen shows an element, else the words of what lies there.
COVER = """({selector, x, y}) => {
    const top = document.elementFromPoint(x, y);
    return top?.closest(selector) ? null : (top?.innerText ?? "nothing").slice(0, 200);
}"""
PANEL = "button[aria-label='Toggle properties panel']"
SELECT = "(kind) => app.canvas.selectNode(app.graph._nodes.find((n) => n.comfyClass === kind))"
RUN = """async () => {
    const end = new Promise((resolve, reject) => {
        const hear = (kind, act) => app.api.addEventListener(kind, act, { once: true });
        hear('execution_success', resolve);
        hear('execution_error', (event) => reject(new Error(event.detail.exception_message)));
    });
    await app.queuePrompt(0);
    await end;
}"""


class Front:
    """One page, with the settings that a test wants."""

    def __init__(
        self,
        browser: Any,
        host: Host,
        *,
        vue: bool,
        palette: str = "dark",
        zoom: int = 1,
        locale: str = "en",
        settings: Mapping[str, Any] = SETTINGS,
    ) -> None:
        self.host, self.vue = host, vue
        self._errors: list[str] = []
        wanted = {**settings, "Comfy.VueNodes.Enabled": vue, "Comfy.ColorPalette": palette}
        wanted["Comfy.Locale"] = locale
        for name, value in wanted.items():
            host.post(f"/settings/{name}", value)
        self.context = browser.new_context(viewport=SIZE, device_scale_factor=zoom)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self._errors.append(f"{error}\n{error.stack}"))
        self.page.on("console", self._hear)
        self.page.goto(host.url, timeout=START)
        self.page.wait_for_function(READY, timeout=START)
        self.page.wait_for_timeout(1500)  # extensions and the first graph

    def close(self) -> None:
        """Closes the page."""
        self.context.close()

    def take_errors(self) -> list[str]:
        """Returns the page's errors and our own messages since the last time."""
        found, self._errors = self._errors, []
        return found

    def load(self, graph: dict[str, Any], kind: str | None = None, scale: float = 1.0) -> None:
        """Opens a graph and shows a node of a kind."""
        self.page.evaluate("(graph) => app.loadGraphData(graph)", graph)
        self.page.wait_for_timeout(600)
        self.close_dialogs()
        if kind:
            self.show(kind, scale)

    def open_template(self, name: str) -> None:
        """Opens one of our templates, and closes the list of files that are missing."""
        self.page.evaluate(OPEN, name)
        self.page.wait_for_timeout(500)
        self.close_dialogs()

    def close_dialogs(self) -> None:
        """Closes what lies over the graph and takes the pointer away from it."""
        for _ in range(self.page.locator(DIALOG).count()):
            self.press("Escape")
            self.page.wait_for_timeout(300)
        assert not self.page.locator(DIALOG).count(), self.page.locator(DIALOG).first.inner_text()

    def show(self, kind: str, scale: float = 1.0) -> None:
        """Brings the first node of a kind to the upper left."""
        self.page.evaluate(SHOW, {"kind": kind, "scale": scale})
        self.page.wait_for_timeout(400)

    def select(self, kind: str) -> None:
        """Selects the first node of a kind."""
        self.page.evaluate(SELECT, kind)
        self.page.wait_for_timeout(800)

    def toggle_panel(self) -> None:
        """Opens the properties panel, or closes it, where the front end has one."""
        button = self.page.locator(PANEL)
        if button.count():
            button.first.click()
            self.page.wait_for_timeout(400)

    def values(self, kind: str) -> dict[str, Any]:
        """Returns the widgets' values of the first node of a kind."""
        script = """(kind) => Object.fromEntries(app.graph._nodes.find((n) => n.comfyClass === kind)
            .widgets.filter((w) => w.serialize !== false).map((w) => [w.name, w.value]))"""
        return self.page.evaluate(script, kind)

    def prompt(self) -> dict[str, Any]:
        """Returns the graph in API format, as it would be queued."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def run(self) -> None:
        """Runs what is open, to its end."""
        self.page.evaluate(RUN)

    def saved(self) -> dict[str, Any]:
        """Returns the graph as it would be saved."""
        return self.page.evaluate("() => JSON.parse(JSON.stringify(app.graph.serialize()))")

    def bars(self) -> list[float]:
        """Returns the bars' values, as a screen reader tells them."""
        self.page.wait_for_timeout(250)
        found = self.page.locator(".cnet-bar").evaluate_all(
            "(bars) => bars.map((bar) => bar.getAttribute('aria-valuenow'))"
        )
        return [float(value) for value in found]

    def sweep(self, start: tuple[float, float], end: tuple[float, float], steps: int = 8) -> None:
        """Drags over the bars between two places, given as shares of their area."""
        area = self.page.locator(".cnet-columns").bounding_box()
        places = [
            (area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)
        ]
        x, y = places[0]
        cover = self.page.evaluate(COVER, {"selector": ".cnet-area", "x": x, "y": y})
        assert cover is None, f"over the bars lies: {cover}"
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=steps)
        self.page.mouse.up()

    def choose(self, kind: str, name: str, value: Any) -> None:
        """Sets a widget as its own control does: the value, then the callback."""
        script = """({kind, name, value}) => {
            const node = app.graph._nodes.find((n) => n.comfyClass === kind);
            const widget = node.widgets.find((w) => w.name === name);
            widget.value = value;
            widget.callback?.(value, app.canvas, node);
        }"""
        self.page.evaluate(script, {"kind": kind, "name": name, "value": value})

    def picture(self, kind: str | None = None, margin: int = 14) -> bytes:
        """Returns a picture of the graph, or of the first node of a kind, without menus and dialogs."""
        self.close_dialogs()  # one about missing files may come late
        x, y, width, height = self.page.evaluate(BOUNDS, kind)
        self.page.add_style_tag(content=f"{MENUS} {{ opacity: 0 !important }}")
        clip = {"x": max(x - margin, 0), "y": max(y - margin, 0)}
        clip |= {"width": width + 2 * margin, "height": height + 2 * margin}
        return self.page.screenshot(clip=clip)

    def press(self, keys: str) -> None:
        """Presses keys where the focus is."""
        self.page.keyboard.press(keys)
        self.page.wait_for_timeout(150)

    def _hear(self, message: Any) -> None:
        ours = OURS in (message.location or {}).get("url", "") or OURS in message.text
        if message.type in ("error", "warning") and ours:
            self._errors.append(f"{message.type}: {message.text}")


def templates() -> list[str]:
    """Returns the names of our templates."""
    return sorted(path.stem for path in (REPOSITORY / "example_workflows").glob("*.json"))


def example(name: str) -> dict[str, Any]:
    """Returns an example workflow."""
    return json.loads((REPOSITORY / "example_workflows" / f"{name}.json").read_text())


def fixture(name: str) -> dict[str, Any]:
    """Returns a graph of tests/browser/fixtures."""
    return json.loads((Path(__file__).parents[1] / "fixtures" / f"{name}.json").read_text())
