"""The embedded model in ComfyUI: from a prompt to a picture, with core nodes."""

import time

import pytest
import torch
from flows import logger
from graphs import Graph, Sampling, save
from host import Failed, Host
from tiny_graph import PROMPT, SIDE, picture_graph, tiny_nodes

import cnet_core as cn
from cnet_core.diffusion.samplers import last
from cnet_core.tiny.model import WEIGHTS, TinyStableDiffusion

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "unet.safetensors").is_file(), reason="the embedded weights are not there"
)
HOW = Sampling(steps=20, cfg=7.5, side=SIDE)
#: What a whole prompt may take on two CPU cores, models loaded.
SECONDS = 60


def test_a_prompt_becomes_a_picture(comfy: Host) -> None:
    comfy.run(picture_graph({}, HOW))
    begin = time.monotonic()
    outputs = comfy.run(picture_graph({"strength": 0.9}, HOW))
    seconds = time.monotonic() - begin
    logger.info("tiny workflow: %.1f s", seconds)
    pictures = [image for node in outputs.values() for image in node.get("images", [])]
    assert len(pictures) == 1
    assert seconds < SECONDS


def test_a_step_with_control_is_the_librarys(comfy: Host) -> None:
    how = Sampling(steps=1, cfg=7.5, side=SIDE, sampler="euler", scheduler="karras")
    comfy.run(picture_graph({"strength": 0.8}, how))
    tiny = TinyStableDiffusion.load()
    unit = cn.ControlUnit(tiny.control_net, random_picture(), strength=0.8)
    numbers = {"steps": 1, "cfg_scale": 7.5, "seed": how.seed, "sampler": "euler"}
    expected = last(tiny.sample([PROMPT], side=SIDE, units=[unit], **numbers))
    difference = (comfy.saved("tiny").samples - expected).abs().max() / expected.abs().max()
    assert difference < 1e-5


def test_pictures_are_encoded_and_decoded_as_the_library_does(comfy: Host) -> None:
    graph = Graph()
    vae = tiny_nodes(graph)[2]
    picture = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=4)
    comfy.run(save(graph, graph.add("VAEEncode", pixels=picture, vae=vae), "encoded"))
    expected = TinyStableDiffusion.load().autoencoder.encode(random_picture())
    torch.testing.assert_close(comfy.saved("encoded").samples, expected, atol=1e-4, rtol=1e-4)


def test_an_unknown_word_is_named(comfy: Host) -> None:
    graph = Graph()
    clip = tiny_nodes(graph)[1]
    cond = graph.add("CLIPTextEncode", clip=clip, text="a photo of a cat")
    model = tiny_nodes(graph)[0]
    with pytest.raises(Failed, match="does not know"):
        comfy.run(save(graph, HOW.ksampler(graph, model, cond, cond), "tiny"))


def random_picture() -> torch.Tensor:
    """Returns what ProbePicture gives for seed 4, as (1, 3, H, W)."""
    generator = torch.Generator().manual_seed(4)
    return torch.rand(1, SIDE, SIDE, 3, generator=generator).movedim(-1, 1)
