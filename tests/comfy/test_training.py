"""Training in ComfyUI: the nodes train, the result steers in the same graph and loads again; an interrupt keeps it."""

import time

import pytest
import torch
from graphs import Graph, Link, Sampling, output, save
from host import Failed, Host
from tiny_graph import PROMPT, tiny_nodes

import cnet_core as cn
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


def trained(graph: Graph, captions: Link | str | None = None, **numbers: object) -> Link:
    """Adds the embedded model, its samples and TrainControlNet."""
    model, clip, vae, _ = tiny_nodes(graph)
    samples = graph.add("TinyTrainingSamples", count=COUNT, side=SIDE, seed=1)
    return graph.add(
        "TrainControlNet",
        model=model,
        vae=vae,
        clip=clip,
        images=samples,
        hints=output(samples, 1),
        captions=output(samples, 2) if captions is None else captions,
        **{**NUMBERS, **numbers},
    )


def used(graph: Graph, net: Link, name: str) -> None:
    """Adds one sampling step with the net, and saves its latents."""
    model, clip, _, _ = tiny_nodes(graph)
    hint = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=4)
    window = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    model = graph.add("ApplyControlNet", model=model, control_net=net, image=hint, **window)
    cond = graph.add("CLIPTextEncode", clip=clip, text=PROMPT)
    how = Sampling(steps=1, side=SIDE)
    save(graph, how.ksampler(graph, model, cond, cond), name)


def test_a_net_is_trained_used_saved_and_loaded_again(comfy: Host) -> None:
    graph = Graph()
    net = trained(graph)
    used(graph, net, "trained")
    graph.add("SaveControlNet", control_net=net, filename_prefix="controlnet/kept", layout="ldm")
    graph.add("SaveImage", images=output(net, 1), filename_prefix="plot")
    outputs = comfy.run(graph.nodes)
    assert sum(len(node.get("images", [])) for node in outputs.values()) == 2
    texts = [t for node in outputs.values() for t in node.get("text", [])]
    assert any(t.startswith("6 steps, finished. It does not follow") for t in texts)
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
    [("a red star\na blue star", "There are 2 captions for 16 images"), ("a cat", "does not know")],
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
    with pytest.raises(Failed, match="`base` is needed"):
        comfy.run(graph.nodes)


def _wait_until_running(comfy: Host, queued: str) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        progress = comfy.get("/queue")["queue_running"]
        if any(queued in entry for entry in progress):
            time.sleep(3)
            return
        time.sleep(0.1)
    raise TimeoutError("the graph did not start")
