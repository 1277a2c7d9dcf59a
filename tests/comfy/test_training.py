"""Training in ComfyUI: the nodes train, the result steers in the same graph and loads again; an interrupt keeps it."""

import re
import time
from pathlib import Path

import pytest
import torch
from graphs import Graph, Link, Sampling, output, save
from host import HALF_DEVICE, Failed, Host
from safetensors.torch import load_file
from tiny_graph import PROMPT, tiny_nodes
from weights import SD15, family, write_models

import cnet_core as cn
from cnet_core.tiny.model import TinyStableDiffusion
from cnet_core.tiny.training import TinyBase, TinySamples

SIDE, COUNT = 32, 16
NUMBERS = {
    "steps": 6,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "prompt_dropout": 0.5,
    "hint_init": "balanced",
    "seed": 3,
}


def trained(graph: Graph, captions: Link | str | None = None, **inputs: object) -> Link:
    """Adds the embedded model, its samples and TrainControlNet."""
    model, clip, vae, _ = tiny_nodes(graph)
    samples = graph.add("TinyTrainingSamples", count=COUNT, side=SIDE, seed=1)
    return graph.add(
        "TrainControlNet",
        model=model,
        vae=vae,
        clip=clip,
        captions=output(samples, 2) if captions is None else captions,
        **{"images": samples, "hints": output(samples, 1), **NUMBERS, **inputs},
    )


def used(graph: Graph, net: Link, name: str, *, on_prompts: bool = False) -> None:
    """Adds one sampling step with the net, on the MODEL or by ComfyUI's Apply node, and saves its latents."""
    model, clip, _, _ = tiny_nodes(graph)
    hint = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=4)
    given = {"control_net": net, "image": hint, "strength": 1.0}
    given |= {"start_percent": 0.0, "end_percent": 1.0}
    cond = graph.add("CLIPTextEncode", clip=clip, text=PROMPT)
    conds = [cond, cond]
    if on_prompts:
        both = graph.add("ControlNetApplyAdvanced", positive=cond, negative=cond, **given)
        conds = [both, output(both, 1)]
    else:
        model = graph.add("ApplyControlNet", model=model, **given)
    how = Sampling(steps=1, side=SIDE)
    save(graph, how.ksampler(graph, model, *conds), name)


def test_a_net_is_trained_used_saved_and_loaded_again(comfy: Host) -> None:
    graph = Graph()
    net = trained(graph)
    used(graph, net, "trained")
    used(graph, net, "on the prompts", on_prompts=True)
    graph.add("SaveControlNet", control_net=net, filename_prefix="controlnet/kept", layout="ldm")
    graph.add("SaveImage", images=output(net, 1), filename_prefix="plot")
    outputs = comfy.run(graph.nodes)
    assert sum(len(node.get("images", [])) for node in outputs.values()) == 2
    texts = [t for node in outputs.values() for t in node.get("text", [])]
    assert any(
        re.match(r"6 steps, finished\. It .*follow.* Loss 0\.\d+ with the matching hint", t)
        for t in texts
    )
    assert torch.equal(comfy.saved("on the prompts").samples, comfy.saved("trained").samples)
    (file,) = (comfy.base / "output" / "controlnet").glob("kept_*.safetensors")
    assert bool(cn.load_controlnet(file).zero_convs[0][0].weight.any())
    again = Graph()
    used(again, again.add("LoadControlNet", control_net_name=file.name), "loaded")
    comfy.run(again.nodes)
    torch.testing.assert_close(comfy.saved("loaded").samples, comfy.saved("trained").samples)


def test_the_samples_are_the_librarys(comfy: Host) -> None:
    graph = Graph()
    samples = graph.add("TinyTrainingSamples", count=2, side=SIDE, seed=5)
    vae = tiny_nodes(graph)[2]
    comfy.run(save(graph, graph.add("VAEEncode", pixels=samples, vae=vae), "samples"))
    base = TinyBase.load()
    drawn = TinySamples(base.autoencoder, SIDE, 2, "node 5")
    expected = base.autoencoder.encode(torch.cat([drawn.sample(i)[0] for i in range(2)]))
    torch.testing.assert_close(comfy.saved("samples").samples, expected, atol=1e-4, rtol=1e-4)


def test_a_net_is_trained_further(comfy: Host) -> None:
    """One step moves each weight by at most its rate: what is saved is the embedded net, and no fresh one."""
    graph = Graph()
    start = tiny_nodes(graph)[3]
    net = trained(graph, control_net=start, steps=1, learning_rate=1e-6)
    graph.add("SaveControlNet", control_net=net, filename_prefix="controlnet/more", layout="ldm")
    comfy.run(graph.nodes)
    (file,) = (comfy.base / "output" / "controlnet").glob("more_*.safetensors")
    found, expected = cn.load_controlnet(file).state_dict(), TinyStableDiffusion.load().control_net
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found[name].float(), value.float(), rtol=0, atol=2e-6)
    zero_conv = "zero_convs.0.0.weight"
    assert not torch.equal(found[zero_conv].float(), expected.state_dict()[zero_conv].float())


def test_a_net_of_another_family_is_not_trained_further(comfy: Host) -> None:
    graph = Graph()
    start = graph.add("LoadControlNet", control_net_name="sd15.safetensors")
    net = trained(graph, control_net=start)
    graph.add("SaveImage", images=output(net, 1), filename_prefix="plot")
    with pytest.raises(Failed, match="The ControlNet at `control_net` does not fit the base"):
        comfy.run(graph.nodes)


def test_an_interrupt_keeps_what_was_learned(comfy: Host) -> None:
    graph = Graph()
    net = trained(graph, steps=100_000)
    graph.add(
        "SaveControlNet", control_net=net, filename_prefix="controlnet/broken_off", layout="ldm"
    )
    queued = comfy.queue(graph.nodes)
    _wait_until_running(comfy, queued)
    comfy.post("/interrupt", {})
    texts = [t for node in comfy.wait(queued).values() for t in node.get("text", [])]
    assert any(" steps, interrupted." in t for t in texts)
    assert list((comfy.base / "output" / "controlnet").glob("broken_off_*.safetensors"))


@pytest.mark.parametrize(
    ("captions", "message"),
    [("a red star\na blue star", "There are 2 captions for 16 images"), ("a dog", "does not know")],
)
def test_captions_that_do_not_fit_are_refused(comfy: Host, captions: str, message: str) -> None:
    graph = Graph()
    net = trained(graph, captions)
    graph.add("SaveImage", images=output(net, 1), filename_prefix="plot")
    with pytest.raises(Failed, match=message):
        comfy.run(graph.nodes)


def test_saving_a_difference_needs_the_base(comfy: Host) -> None:
    graph = Graph()
    net = tiny_nodes(graph)[3]
    graph.add(
        "SaveControlNet", control_net=net, filename_prefix="controlnet/d", layout="difference"
    )
    with pytest.raises(Failed, match="needs `base_model`"):
        comfy.run(graph.nodes)


def test_other_layouts_do_not_look_at_the_base(comfy: Host) -> None:
    graph = Graph()
    model, _, _, net = tiny_nodes(graph)
    inputs = {"filename_prefix": "controlnet/with_base", "layout": "ldm", "base_model": model}
    graph.add("SaveControlNet", control_net=net, **inputs)
    comfy.run(graph.nodes)
    assert list((comfy.base / "output" / "controlnet").glob("with_base_*.safetensors"))


def test_the_diffusers_layout_is_a_folder_as_that_library_loads_them(comfy: Host) -> None:
    diffusers = pytest.importorskip("diffusers")
    graph = Graph()
    net = graph.add("LoadControlNet", control_net_name="sd15.safetensors")
    inputs = {"filename_prefix": "controlnet/folder", "layout": "diffusers"}
    graph.add("SaveControlNet", control_net=net, **inputs)
    comfy.run(graph.nodes)
    folder = comfy.base / "output/controlnet/folder_00001_"
    found = diffusers.ControlNetModel.from_pretrained(folder).state_dict()
    whole = cn.load_controlnet(comfy.base / "models/controlnet/sd15.safetensors").state_dict()
    assert sorted(map(_sum, found.values())) == sorted(map(_sum, whole.values()))


def test_training_takes_the_memory_of_models_that_are_loaded(comfy: Host) -> None:
    graph = Graph()
    conds = [family(SD15).cond(graph, seed) for seed in (1, 2)]
    latents = Sampling(steps=1, side=32).ksampler(graph, family(SD15).model(graph), *conds)
    save(graph, latents, "loaded before")
    comfy.run(graph.nodes)
    net = trained(graph, steps=1, seed=5)
    graph.add("SaveImage", images=output(net, 1), filename_prefix="plot")
    comfy.run(graph.nodes)
    graph.add("ProbeMemory", name="training", after=latents)
    comfy.run(graph.nodes)
    assert "BaseModel" not in comfy.memory("training")["loaded"]


def test_one_picture_alone_is_trained_on_and_told_of(comfy: Host) -> None:
    graph = Graph()
    picture = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=1)
    net = trained(graph, PROMPT, steps=2, images=picture, hints=picture)
    graph.add("SaveImage", images=output(net, 1), filename_prefix="plot")
    texts = [t for node in comfy.run(graph.nodes).values() for t in node.get("text", [])]
    assert any("cannot be measured on one picture" in t for t in texts)


def test_pictures_and_hints_of_any_size_are_cut_alike(comfy: Host) -> None:
    side, count = 36, 4
    graph = Graph()
    pictures = [
        graph.add("ProbePicture", width=side, height=side, count=count, seed=s) for s in (1, 2)
    ]
    cut = {"x": 2, "y": 2, "width": 32, "height": 32}
    middles = [graph.add("ImageCrop", image=picture, **cut) for picture in pictures]
    for name, (images, hints) in {"whole": pictures, "middle": middles}.items():
        net = trained(graph, PROMPT, steps=2, images=images, hints=hints)
        graph.add("SaveControlNet", control_net=net, filename_prefix=f"cut/{name}", layout="ldm")
    comfy.run(graph.nodes)
    whole, middle = (
        load_file(comfy.base / f"output/cut/{n}_00001_.safetensors") for n in ("whole", "middle")
    )
    assert {key for key in whole if not whole[key].equal(middle[key])} == set()


def test_what_training_made_is_saved_in_float32_also_where_it_is_used_in_half(
    comfy: Host, tmp_path: Path
) -> None:
    write_models(tmp_path / "models")
    host = Host(comfy.place, tmp_path, ["--fp16-unet"])
    graph = Graph()
    net = trained(graph, steps=2)
    used(graph, net, "half")
    graph.add("SaveControlNet", control_net=net, filename_prefix="controlnet/exact", layout="ldm")
    host.run(graph.nodes)
    host.stop()
    found = load_file(tmp_path / "output/controlnet/exact_00001_.safetensors")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert any(not tensor.equal(tensor.half().float()) for tensor in found.values())


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_training_computes_as_the_host_does(comfy: Host, tmp_path: Path, precision: str) -> None:
    host = Host(comfy.place, tmp_path, [f"--{precision}-unet"], [HALF_DEVICE])
    graph = Graph()
    samples = graph.add("TinyTrainingSamples", count=COUNT, side=64, seed=1)
    pictures = {"images": samples, "hints": output(samples, 1)}
    net = trained(graph, output(samples, 2), steps=2, **pictures)
    graph.add("SaveControlNet", control_net=net, filename_prefix="controlnet/half", layout="ldm")
    host.run(graph.nodes)
    host.stop()
    assert f"Train ControlNet computes in {precision}." in host.log
    found = load_file(tmp_path / "output/controlnet/half_00001_.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in found.values())


def _sum(tensor: torch.Tensor) -> float:
    return float(tensor.double().sum())


def _wait_until_running(comfy: Host, queued: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        progress = comfy.get("/queue")["queue_running"]
        if any(queued in entry for entry in progress):
            time.sleep(3)
            return
        time.sleep(0.1)
    raise TimeoutError("the graph did not start")
