"""A real Chromium on a real ComfyUI: its own front end and a newer one, classic canvas and Vue nodes.

Needs, in addition to what tests/comfy needs, `CNET_CHROMIUM` (the browser), `CNET_FRONT_END` (the `static` folder of
comfyui-frontend-package 1.58.1) and playwright; .ci/run brings all of them. `CNET_SCREENSHOTS` keeps the pictures.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host import Host
from places import places_of

sys.path.insert(0, str(Path(__file__).parent / "support"))

from front import Front

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Front end -> the option that chooses it.
FRONT_ENDS = {"own": [], "newer": ["--front-end-root", os.environ.get("CNET_FRONT_END", "")]}
MODES = {"classic": False, "vue": True}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running browser."""
    path = os.environ.get("CNET_CHROMIUM")
    if not path:
        pytest.skip("no browser: set CNET_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=FRONT_ENDS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """A ComfyUI that serves one of the front ends."""
    places = places_of(request.config)
    options = FRONT_ENDS[request.param]
    if not places or "" in options:
        pytest.skip("no front end: set CNET_COMFYUI and CNET_FRONT_END")
    base = tmp_path_factory.mktemp(request.param)
    host = Host(places[0], base, options)
    yield host
    host.stop()


@pytest.fixture(scope="session", params=MODES)
def front(chromium: Any, served: Host, request: pytest.FixtureRequest) -> Iterator[Front]:
    """A page with the front end in one of its two node modes."""
    front = Front(chromium, served, vue=MODES[request.param])
    yield front
    front.close()


@pytest.fixture(autouse=True)
def no_errors_of_ours(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test during which the page met an error, or one of ours was logged."""
    yield
    if "front" in request.fixturenames:
        found = request.getfixturevalue("front").take_errors()
        assert not found, found
