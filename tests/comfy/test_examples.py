"""Every example workflow runs as it is saved."""

import json
from pathlib import Path

import pytest
from example_graphs import EXAMPLES
from host import REPOSITORY, Host
from ui_format import to_api, to_ui

from cnet_core.tiny.model import WEIGHTS

FOLDER = REPOSITORY / "example_workflows"
FILES = sorted(FOLDER.glob("*.json"))
DOWNLOAD = "stable_diffusion_15"


def saved(path: Path) -> dict:
    """Returns a saved workflow."""
    return json.loads(path.read_text())


def test_the_examples_are_these_each_with_its_thumbnail() -> None:
    assert {path.stem for path in FILES} == set(EXAMPLES)
    assert {path.stem for path in FOLDER.glob("*.jpg")} == set(EXAMPLES)


@pytest.mark.skipif(
    not (WEIGHTS / "unet.safetensors").is_file(), reason="the embedded weights are not there"
)
@pytest.mark.parametrize("path", [p for p in FILES if p.stem != DOWNLOAD], ids=lambda p: p.stem)
def test_an_example_runs_with_no_download(comfy: Host, path: Path) -> None:
    graph = to_api(saved(path), comfy.info)
    outputs = comfy.run(graph)
    saving = [name for name, node in graph.items() if node["class_type"] == "SaveImage"]
    assert saving
    assert all(outputs[name]["images"] for name in saving)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_saved_is_what_is_made(comfy: Host, name: str) -> None:
    graph, note = EXAMPLES[name]
    info = comfy.info
    nodes = graph().nodes
    workflow = saved(FOLDER / f"{name}.json")
    found = to_api(workflow, info)
    assert found == to_api(to_ui(nodes, info, note), info)
    for key, node in nodes.items():
        assert node["inputs"].items() <= found[key]["inputs"].items()
