"""Load ControlNet's list says what each file is for, before anything is queued."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from front import EMPTY, Front
from host import Host

import cnet_core as cn

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from files import read_published, write_hollow_file

FITS, NOT = "sd15_canny.safetensors", "a_first_sdxl.safetensors"
MISFIT = "for SDXL small, but the model is SD1.x"
#: Adds a chain of nodes: checkpoint, LoRA, reroute, our Apply node with our loader behind it; returns their ids.
BUILD = """([file, ckpt]) => {
    const add = (kind, pos, values = {}) => {
        const node = LiteGraph.createNode(kind);
        node.pos = pos; // before it is added: Vue nodes stay where they appeared
        app.graph.add(node);
        for (const w of node.widgets ?? []) if (w.name in values) w.value = values[w.name];
        return node;
    };
    const input = (node, name) => node.inputs.findIndex((i) => i.name === name);
    const checkpoint = add("CheckpointLoaderSimple", [0, 120], { ckpt_name: ckpt });
    const lora = add("LoraLoaderModelOnly", [330, 120]);
    const reroute = add("Reroute", [620, 120]);
    const net = add("LoadControlNet", [0, 600], { control_net_name: file });
    const apply = add("ApplyControlNet", [760, 120]);
    checkpoint.connect(0, lora, input(lora, "model"));
    lora.connect(0, reroute, 0);
    reroute.connect(0, apply, input(apply, "model"));
    net.connect(0, apply, input(apply, "control_net"));
}"""
#: Puts nodes of some kinds into a subgraph, a single loader too.
WRAP = """(kinds) => {
    const nodes = app.graph._nodes.filter((n) => kinds.includes(n.comfyClass ?? n.type));
    app.graph.convertToSubgraph(new Set(nodes));
}"""
#: Every Load ControlNet of the graph and its subgraphs: what its list shows, and the names behind it.
LIST = """() => {
    const all = (graph) => graph._nodes.flatMap((n) => n.subgraph ? all(n.subgraph) : [n]);
    const { options, value } = all(app.graph).find((n) => n.comfyClass === "LoadControlNet").widgets[0];
    const label = options.getOptionLabel ?? ((name) => name);
    return { shown: options.values.map((name) => label(name)), values: options.values, value };
}"""
#: What goes into subgraphs, one after the other.
PLACES = {
    "plain": [],
    "model and end in subgraphs": [
        ["CheckpointLoaderSimple", "LoraLoaderModelOnly"],
        ["LoadControlNet", "ApplyControlNet"],
    ],
}


def write_files(models: Path) -> list[Path]:
    """Writes an SD1.5 checkpoint, and ControlNets for it and for SDXL, without their bytes."""
    with torch.device("meta"):
        keys = cn.UNet(cn.SD15).state_dict()
    unet = {f"model.diffusion_model.{key}": list(value.shape) for key, value in keys.items()}
    shapes = {
        "checkpoints/sd15_model.safetensors": unet,
        f"controlnet/{FITS}": read_published("sd15_v11"),
        f"controlnet/{NOT}": read_published("sdxl_small"),
        "controlnet/an_adapter.safetensors": {"body.0.in_conv.weight": [4, 4]},
    }
    for name in shapes:
        (models / name).parent.mkdir(parents=True, exist_ok=True)
    return [write_hollow_file(models / name, found) for name, found in shapes.items()]


@pytest.fixture(scope="module")
def with_files(chromium: Any, served: Host, front: Front) -> Iterator[Front]:
    """A page of a ComfyUI with these files."""
    paths = write_files(served.base / "models")
    page = Front(chromium, served, vue=front.vue)
    yield page
    page.close()
    for path in paths:
        path.unlink()


def listed(front: Front, text: str) -> dict[str, Any]:
    """Returns what the list shows, once a text is in it."""
    shown = "JSON.stringify((" + LIST + ")().shown)"
    front.page.wait_for_function(f"() => {shown}.includes({text!r})", timeout=20_000)
    return front.page.evaluate(LIST)


@pytest.mark.parametrize("place", PLACES)
def test_a_file_for_another_family_is_marked(with_files: Front, place: str) -> None:
    front = with_files
    front.load(EMPTY)
    front.page.evaluate(BUILD, [NOT, "sd15_model.safetensors"])
    for kinds in PLACES[place]:
        front.page.evaluate(WRAP, kinds)
    found = listed(front, MISFIT)
    assert found["shown"] == [
        f"{FITS} · SD1.x",
        f"✗ {NOT} · {MISFIT}",
        "✗ an_adapter.safetensors · a T2I-Adapter",
    ]
    assert sorted(found["values"]) == sorted([FITS, NOT, "an_adapter.safetensors"])
    assert found["value"] == NOT  # a saved value stays
    if place == "plain":
        assert_seen(front)
    assert not front.take_errors()


def assert_seen(front: Front) -> None:
    """Checks that a person sees the mark: on the node of the classic canvas, and in the open list of Vue nodes."""
    front.show("LoadControlNet")
    if front.vue:
        row = front.page.locator("[data-node-id]").filter(has_text="Load ControlNet")
        row.locator("[role=combobox]").first.click()
        front.page.get_by_text(MISFIT).first.wait_for(timeout=5000)
        front.press("Escape")
    else:
        drawn = """() => app.graph._nodes.find((n) => n.comfyClass === "LoadControlNet")
            .widgets[0]._displayValue"""
        assert front.page.evaluate(drawn).startswith(f"✗ {NOT}")


def test_without_a_model_every_file_has_its_family(with_files: Front) -> None:
    front = with_files
    front.load(EMPTY)
    front.page.evaluate("() => { app.graph.add(LiteGraph.createNode('LoadControlNet')); }")
    assert listed(front, "SDXL")["shown"] == [
        f"{NOT} · SDXL small",
        "an_adapter.safetensors · a T2I-Adapter",
        f"{FITS} · SD1.x",
    ]


def test_without_our_route_the_list_is_as_it_was(with_files: Front) -> None:
    front = with_files
    front.page.route("**/cnet/control_nets*", lambda route: route.fulfill(status=404, body=""))
    front.load(EMPTY)
    front.page.evaluate(BUILD, [NOT, "sd15_model.safetensors"])
    front.page.wait_for_timeout(1000)
    assert front.page.evaluate(LIST)["shown"] == sorted([NOT, FITS, "an_adapter.safetensors"])
    front.page.unroute("**/cnet/control_nets*")
    front.take_errors()  # the browser itself reports the 404
