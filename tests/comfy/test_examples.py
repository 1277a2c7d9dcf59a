"""Every example workflow runs as it is saved, and blueprints are offered."""

import json
from pathlib import Path

import pytest
from blueprints import BLUEPRINTS
from examples import EXAMPLES
from graphs import Graph
from host import REPOSITORY, Host
from ui_format import to_api, to_ui
from weights import SD15, SDXL, family

from cnet_core import UNetConfig
from cnet_core.tiny.model import WEIGHTS
from subgraphs import flat

FOLDER = REPOSITORY / "example_workflows"
FILES = sorted(FOLDER.glob("*.json"))
DOWNLOAD = ("7 Stable Diffusion 1.5", "8 SDXL")


def saved(path: Path) -> dict:
    """Returns a saved workflow."""
    return json.loads(path.read_text())


def test_the_examples_are_these_each_with_its_thumbnail() -> None:
    assert {path.stem for path in FILES} == set(EXAMPLES)
    assert {path.stem for path in FOLDER.glob("*.jpg")} == set(EXAMPLES)


@pytest.mark.skipif(
    not (WEIGHTS / "unet.safetensors").is_file(), reason="the embedded weights are not there"
)
@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in DOWNLOAD], ids=lambda p: p.stem)
def test_an_example_runs_with_no_download(comfy: Host, path: Path) -> None:
    graph = to_api(saved(path), comfy.info)
    outputs = comfy.run(graph)
    saving = [name for name, node in graph.items() if node["class_type"] == "SaveImage"]
    assert saving
    assert all(outputs[name]["images"] for name in saving)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_saved_is_what_is_made(comfy: Host, name: str) -> None:
    sheet = EXAMPLES[name]()
    found = to_api(saved(FOLDER / f"{name}.json"), comfy.info)
    assert found == to_api(to_ui(sheet, comfy.info), comfy.info)
    nodes = flat(sheet.graph.nodes)
    assert found.keys() == nodes.keys()
    for key, node in nodes.items():
        assert node["class_type"] == found[key]["class_type"]
        assert node["inputs"].items() <= found[key]["inputs"].items()


@pytest.mark.parametrize(
    ("name", "config", "file"),
    [("7 Stable Diffusion 1.5", SD15, "sd15.safetensors"), ("8 SDXL", SDXL, "sdxl.safetensors")],
    ids=["SD1.5", "SDXL"],
)
def test_an_example_for_files_samples_with_narrow_stand_ins(
    comfy: Host, name: str, config: UNetConfig, file: str
) -> None:
    comfy.run(stood_in(to_api(saved(FOLDER / f"{name}.json"), comfy.info), config, file))
    assert bool(comfy.saved("stand_in").samples.isfinite().all())


def test_blueprints_are_these_and_comfyui_offers_them_where_it_knows_them(comfy: Host) -> None:
    names = {make().name for make in BLUEPRINTS}
    assert {path.stem for path in (REPOSITORY / "subgraphs").glob("*.json")} == names
    if (comfy.place.comfyui / "app" / "subgraph_manager.py").is_file():
        offered = {entry["name"] for entry in comfy.get("/global_subgraphs").values()}
        assert names <= offered


def stood_in(graph: dict, config: UNetConfig, file: str) -> dict:
    """Returns a graph with random narrow nets for its files, which ends at the latents."""
    kinds, small, ends = family(config), Graph(), ("VAEDecode", "SaveImage", "PreviewImage")
    model, cond = small.nodes[kinds.model(small)[0]], small.nodes[kinds.cond(small, 1)[0]]
    picture = {"width": 64, "height": 64, "count": 1, "seed": 5}
    found = {key: dict(node) for key, node in graph.items() if node["class_type"] not in ends}
    for node in found.values():
        kind, inputs = node["class_type"], node["inputs"]
        if kind == "CheckpointLoaderSimple":
            node |= model
        elif kind == "CLIPTextEncode":
            node |= cond
        elif kind == "LoadControlNet":
            node["inputs"] = {"control_net_name": file}
        elif kind == "LoadImage":
            node |= {"class_type": "ProbePicture", "inputs": picture}
        elif kind == "EmptyLatentImage":
            node["inputs"] = {**inputs, "width": 64, "height": 64}
        elif kind == "KSampler":
            node["inputs"] = {**inputs, "steps": 3}
    (sampler,) = [key for key, node in found.items() if node["class_type"] == "KSampler"]
    save = {"samples": [sampler, 0], "name": "stand_in"}
    return {**found, "save": {"class_type": "ProbeSave", "inputs": save}}
