"""Files that hold only differences to a model, with that model on `base_model` or in the graph."""

import pytest
from flows import effect_share
from graphs import Graph, Link, Sampling, output, save
from host import Failed, Host, Result
from hosts import MODEL_NODES
from safetensors.torch import load_file
from tiny_graph import PROMPT, SIDE, tiny_nodes
from weights import SD15, family

import cnet_core as cn
from cnet_core.checkpoints.container.files import write_tensors
from cnet_core.checkpoints.formats.control_lora import extract_low_rank
from cnet_core.checkpoints.metadata import metadata_of
from cnet_core.tiny.model import WEIGHTS, TinyStableDiffusion

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "unet.safetensors").is_file(), reason="the embedded weights are not there"
)
#: Keeps every singular value, so that nothing is lost.
FULL_RANK = 10_000


@pytest.fixture(scope="module")
def files(comfy: Host) -> Host:
    """The embedded ControlNet as a difference file and as a Control-LoRA, among ComfyUI's files."""
    tiny = TinyStableDiffusion.load()
    folder = comfy.base / "models/controlnet"
    cn.save_controlnet(
        tiny.control_net, folder / "tiny_diff.safetensors", layout="difference", base=tiny.unet
    )
    base = {
        k: v for k, v in tiny.unet.state_dict().items() if not k.startswith(("output_", "out."))
    }
    found, _ = extract_low_rank(
        tiny.control_net.state_dict(), base, "the embedded one", rank=FULL_RANK
    )
    write_tensors(found, folder / "tiny_lora.safetensors", metadata_of(tiny.control_net))
    return comfy


def run(comfy: Host, name: str, loader: str, file: str = "", *, way: str = "ours") -> Result:
    """Returns the latents with the embedded model and a ControlNet from this loader.

    `way`: "ours" is on the MODEL; "native" and "routed" are on the prompts, the latter by Route ControlNet.
    """
    graph = Graph()
    model, clip, _, embedded = tiny_nodes(graph)
    conds = [graph.add("CLIPTextEncode", clip=clip, text=text) for text in (PROMPT, "")]
    net = _net(graph, loader, file, model, embedded)
    hint = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=4)
    inputs = {"image": hint, "strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    if way == "routed":
        net = graph.add("RouteControlNet", control_net=net)
    if way in ("native", "routed"):
        both = graph.add(
            "ControlNetApplyAdvanced",
            positive=conds[0],
            negative=conds[1],
            control_net=net,
            **inputs,
        )
        conds = [both, output(both, 1)]
    elif loader:
        model = graph.add("ApplyControlNet", model=model, control_net=net, **inputs)
    comfy.run(save(graph, Sampling(steps=3, side=SIDE).ksampler(graph, model, *conds), name))
    return comfy.saved(name)


def _net(graph: Graph, loader: str, file: str, model: Link, embedded: Link) -> Link | None:
    if loader == "LoadControlNet":
        return graph.add(loader, control_net_name=file, base_model=model)
    if loader == "ControlNetLoader":
        return graph.add(loader, control_net_name=file)
    return embedded


def test_a_difference_file_with_its_base_is_the_whole_control_net(files: Host) -> None:
    plain = run(files, "plain", "")
    whole = run(files, "whole", "LoadTinyStableDiffusion")
    found = run(files, "found", "LoadControlNet", "tiny_diff.safetensors")
    assert effect_share(plain, whole, found) <= 1e-3


@pytest.mark.parametrize("way", ["ours", "routed"])
@pytest.mark.parametrize("loader", ["LoadControlNet", "ControlNetLoader"])
def test_a_control_lora_gives_what_native_control_gives_with_it(
    files: Host, loader: str, way: str
) -> None:
    plain = run(files, "plain", "")
    native = run(files, "native", "ControlNetLoader", "tiny_lora.safetensors", way="native")
    found = run(files, "found", loader, "tiny_lora.safetensors", way=way)
    assert effect_share(plain, native, found) <= 1e-3


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("sd15", "blocks"),
        ("sdxl", "blocks"),
        ("tiny_diff", "differences from a base model: load it with `base_model`"),
        ("tiny_lora", "low-rank differences from the UNet in use: load it with `base_model`"),
    ],
)
def test_identify_says_what_a_file_is(files: Host, file: str, words: str) -> None:
    graph = Graph()
    graph.add("IdentifyControlNet", control_net_name=f"{file}.safetensors")
    outputs = files.run(graph.nodes)
    text = next(iter(outputs.values()))["text"][0]
    assert "ControlNet" in text
    assert words in text


@pytest.mark.parametrize("file", ["tiny_diff", "tiny_lora"])
def test_a_file_of_differences_alone_asks_for_the_model_by_the_inputs_name(
    files: Host, file: str
) -> None:
    graph = Graph()
    net = graph.add("LoadControlNet", control_net_name=f"{file}.safetensors")
    graph.add("SaveControlNet", control_net=net, filename_prefix="x", layout="ldm")
    with pytest.raises(Failed, match="as `base_model`"):
        files.run(graph.nodes)


def test_the_base_is_the_model_itself_also_while_it_is_loaded_with_a_lora(comfy: Host) -> None:
    """All clones of a MODEL share its weights, and the LoRA of one that is loaded is written into them."""

    def difference(graph: Graph, name: str) -> dict:
        net = graph.add("LoadControlNet", control_net_name="sd15.safetensors")
        inputs = {"layout": "difference", "base_model": family(SD15).model(graph, seed=17)}
        graph.add("SaveControlNet", control_net=net, filename_prefix=f"bases/{name}", **inputs)
        comfy.run(graph.nodes)
        return load_file(comfy.base / f"output/bases/{name}_00001_.safetensors")

    before = difference(Graph(), "before")
    graph = Graph()
    model = MODEL_NODES["LoRA"](graph, family(SD15).model(graph, seed=17))
    conds = [family(SD15).cond(graph, seed) for seed in (1, 2)]
    comfy.run(save(graph, Sampling(steps=2).ksampler(graph, model, *conds), "with a lora"))
    after = difference(graph, "after")
    assert {key for key in before if not before[key].equal(after[key])} == set()
