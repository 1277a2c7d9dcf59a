"""ControlXRay in a real ComfyUI: which run it shows, what it says, how long it is remembered."""

import time

import numpy as np
import pytest
from adapters import Adapter
from flows import COND_ONLY, Control, Flow, ksampler
from graphs import Family, Graph, Link, Sampling
from host import Failed, Host
from hosts import SAMPLERS
from PIL import Image
from tiny_graph import PROMPT, SIDE, tiny_nodes
from weights import SD15, WIDENING, family

from cnet_core.tiny.model import WEIGHTS

FLOW = Flow(family(SD15))


class Patched:
    """A graph with a random model and one control or several on it."""

    def __init__(self, *controls: Control, shape: Family = FLOW.family) -> None:
        self.graph = Graph()
        self.model = shape.model(self.graph)
        for control in controls:
            net = control.net(self.graph, "LoadControlNet")
            inputs = dict(control.inputs)
            if control.routing is not None:
                inputs["routing"] = self.graph.add(
                    "CFGHintRouting",
                    **{"cond_weight": 1.0, "uncond_weight": 0.5, "target_gain": 2.0},
                    **control.routing,
                )
            self.model = self.graph.add(
                "ApplyControlNet",
                model=self.model,
                control_net=net,
                image=control.picture(self.graph),
                **control.numbers,
                **inputs,
            )
        self.conds = [FLOW.family.cond(self.graph, seed) for seed in (1, 2)]

    def sampled(self, model: Link | None = None, **how: object) -> Link:
        """Adds a KSampler."""
        chosen = self.model if model is None else model
        return Sampling(**how).ksampler(self.graph, chosen, *self.conds)

    def xray(self, samples: Link, model: Link | None = None, **inputs: object) -> str:
        """Adds an X-ray of some latents and a node that shows its report; returns that one's id."""
        seen = self.graph.add(
            "ControlXRay", model=self.model if model is None else model, samples=samples, **inputs
        )
        self.graph.add("SaveImage", images=seen, filename_prefix="xray")
        return self.graph.add("PreviewAny", source=[seen[0], 1])[0]


def report(outputs: dict, node: str) -> str:
    """Returns the text that PreviewAny shows."""
    return outputs[node]["text"][0]


def suggested(outputs: dict) -> list[list[str | int]]:
    """Returns what X-rays hand to the front end: the scales, and how many ControlNets acted."""
    sent = [shown.get("cnet_suggested_scales") for shown in outputs.values()]
    return [scales for scales in sent if scales is not None]


def influences(text: str) -> list[float]:
    """Returns what a report says of each block that was left out, in percent."""
    lines = [line for line in text.splitlines() if line.split()[:1] and line.endswith(" %")]
    return [float(line.split()[-2]) for line in lines]


def replaced(graph: Graph, link: Link, **inputs: object) -> Link:
    """Gives a node other inputs; returns its link."""
    graph.nodes[link[0]]["inputs"].update(inputs)
    return link


def test_it_says_what_each_control_did(comfy: Host) -> None:
    graph = Patched(
        Control(window=(0.0, 0.5)), Control(hint_seed=6, strength=0.5, routing=COND_ONLY)
    )
    shown = graph.xray(graph.sampled(steps=4, cfg=4.0))
    text = report(comfy.run(graph.graph.nodes), shown)
    assert "Net 1 stops after 50 % of the steps. Net 2 acts on your prompt alone." in text
    assert "4 steps" in text
    assert "2 ControlNets, cond and uncond, CFG scale 4" in text
    first, second = text.split("ControlNet 1")[1].split("ControlNet 2")
    assert "cond gain 1 (evaluated), uncond gain 1 (evaluated), after guidance 1" in first
    assert "cond gain 0 (skipped), uncond gain 0 (skipped), after guidance 0" in first
    assert (
        "steps 0-3: cond gain 0.5 (evaluated), uncond gain 0 (skipped), after guidance 2" in second
    )


def test_two_samplers_with_one_model_have_their_own_records(comfy: Host) -> None:
    graph = Patched(Control())
    shown = [graph.xray(graph.sampled(steps=steps, seed=steps)) for steps in (3, 5)]
    outputs = comfy.run(graph.graph.nodes)
    for node, steps in zip(shown, (3, 5), strict=True):
        assert f"X-ray: {steps} steps" in report(outputs, node)


def test_a_cached_sampler_still_finds_its_record(comfy: Host) -> None:
    first = Patched(Control())
    first.xray(first.sampled(steps=3, seed=3))
    comfy.run(first.graph.nodes)
    both = Patched(Control())
    kept = both.sampled(steps=3, seed=3)  # in ComfyUI's cache now
    node, other = both.xray(kept, leave_one_out=True), both.xray(both.sampled(steps=2, seed=4))
    outputs = comfy.run(both.graph.nodes)
    assert "X-ray: 3 steps" in report(outputs, node)
    assert "left out" in report(outputs, node)
    assert "X-ray: 2 steps" in report(outputs, other)


def test_a_later_clone_of_the_model_finds_the_record_too(comfy: Host) -> None:
    graph = Patched(Control())
    patched = graph.graph.add("FreeU", model=graph.model, b1=1.1, b2=1.2, s1=0.9, s2=0.2)
    shown = graph.xray(graph.sampled(patched, steps=2), patched)
    assert "X-ray: 2 steps" in report(comfy.run(graph.graph.nodes), shown)


def test_an_interrupted_run_leaves_no_record_and_the_next_one_is_its_own(comfy: Host) -> None:
    def slow(steps: int) -> tuple[Graph, str]:
        graph = Patched(Control())
        model = FLOW.family.model(graph.graph)
        graph.graph.nodes[graph.model[0]]["inputs"]["model"] = graph.graph.add(
            "ProbeSlow", model=model, seconds=0.4
        )
        return graph.graph, graph.xray(graph.sampled(steps=steps))

    prompt = comfy.queue(slow(steps=30)[0].nodes)
    time.sleep(3)
    comfy.post("/interrupt", {})
    with pytest.raises(Failed, match="interrupted"):
        comfy.wait(prompt)
    graph, shown = slow(steps=2)
    assert "X-ray: 2 steps" in report(comfy.run(graph.nodes), shown)


def drop_loaded_models(comfy: Host) -> None:
    """Drops what earlier prompts left in ComfyUI's caches: models remember runs, also without ApplyControlNet."""
    comfy.post("/free", {"unload_models": True, "free_memory": True})
    time.sleep(1)  # the worker does it on its own


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda graph, samples: (samples, FLOW.family.model(graph.graph)),
            "no ControlNet",
        ),
        (
            lambda graph, samples: (
                graph.graph.add("LatentFlip", samples=samples, flip_method="x-axis: vertically"),
                graph.model,
            ),
            "do not come from a sampler",
        ),
    ],
    ids=["another model", "changed latents"],
)
def test_latents_of_something_else_are_refused(comfy: Host, change, words: str) -> None:
    drop_loaded_models(comfy)
    graph = Patched(Control())
    samples, model = change(graph, graph.sampled(steps=2))
    graph.xray(samples, model)
    with pytest.raises(Failed, match=words):
        comfy.run(graph.graph.nodes)


def test_a_model_remembers_so_many_runs_and_no_more(comfy: Host) -> None:
    drop_loaded_models(comfy)
    for seed in range(20, 30):
        graph = Patched(Control())
        graph.graph.add("ProbeMemory", name="history", after=graph.sampled(steps=1, seed=seed))
        comfy.run(graph.graph.nodes)
    assert comfy.memory("history")["records"] == 8


@pytest.mark.parametrize("shape", [FLOW.family, FLOW.family.inpaint()], ids=["plain", "inpaint"])
def test_leaving_out_in_a_masked_run_gives_the_unet_what_the_run_gave_it(
    comfy: Host, shape: Family
) -> None:
    """An inpainting UNet also reads mask and latents."""
    steps, name = 3, f"inputs {shape.unet['in_channels']}"
    graph = Patched(Control(), shape=shape)
    model = graph.graph.add("ProbeInputs", model=graph.model, name=name)
    latent = graph.graph.add("ProbeLatent", width=8, height=8, count=2, seed=3)
    pictures = graph.graph.add("ProbePicture", width=64, height=64, count=2, seed=6)
    mask = graph.graph.add("ImageToMask", image=pictures, channel="red")
    masked = graph.graph.add("SetLatentNoiseMask", samples=latent, mask=mask)
    samples = replaced(graph.graph, graph.sampled(model, steps=steps), latent_image=masked)
    graph.xray(samples, model, leave_one_out=True)
    comfy.run(graph.graph.nodes)
    graph.graph.add("ProbeMemory", name=name, after=samples)
    comfy.run(graph.graph.nodes)
    seen = comfy.memory(name)["counts"][name]
    assert len(seen) == steps + 15
    assert seen[steps:] == pytest.approx([seen[steps - 1]] * 15, rel=1e-4)


def test_where_nothing_is_denoised_no_block_has_an_influence(comfy: Host) -> None:
    graph = Patched(Control())
    latent = graph.graph.add("ProbeLatent", width=8, height=8, count=1, seed=3)
    mask = graph.graph.add("SolidMask", value=0.0, width=64, height=64)
    masked = graph.graph.add("SetLatentNoiseMask", samples=latent, mask=mask)
    samples = replaced(graph.graph, graph.sampled(steps=2), latent_image=masked)
    shown = graph.xray(samples, leave_one_out=True)
    assert set(influences(report(comfy.run(graph.graph.nodes), shown))) == {0.0}


@pytest.mark.parametrize("guider", ["KSampler", "BasicGuider", "DualCFG", "PerpNegGuider"])
def test_leaving_out_runs_the_samplers_own_guider(comfy: Host, guider: str) -> None:
    """Only blocks with a scale have an influence."""
    scales = {"profile": "custom", "base": 0.825, "custom_scales": "0,0,0,1" + ",0" * 8 + ",1"}
    graph = Patched(Control())
    inputs = graph.graph.nodes[graph.model[0]]["inputs"]
    inputs["scales"] = graph.graph.add("BlockScaleSchedule", **scales)
    sampler = {"KSampler": ksampler, **SAMPLERS}[guider]
    samples = sampler(graph.graph, graph.model, *graph.conds, Sampling(steps=2))
    shown = graph.xray(samples, leave_one_out=True)
    text = report(comfy.run(graph.graph.nodes), shown)
    left_out = influences(text)
    assert len(left_out) == 13
    assert [share > 0 for share in left_out] == [k in (3, 12) for k in range(13)]


def scaled(*scales: str) -> Patched:
    """A graph with a control for each text of `custom_scales`."""
    graph = Patched(*(Control(hint_seed=seed) for seed, _ in enumerate(scales)))
    apply = [node for node in graph.graph.nodes.values() if node["class_type"] == "ApplyControlNet"]
    for node, text in zip(apply, scales, strict=True):
        inputs = {"profile": "custom", "base": 0.825, "custom_scales": text}
        node["inputs"]["scales"] = graph.graph.add("BlockScaleSchedule", **inputs)
    return graph


@pytest.mark.parametrize("steps", [1, 4], ids=["one step", "early, middle and late"])
def test_suggested_scales_drop_the_blocks_that_do_nothing(comfy: Host, steps: int) -> None:
    """The block that stays keeps its scale."""
    given = "0,0,0,0.5" + ",0" * 9
    graph = scaled(given)
    shown = graph.xray(graph.sampled(steps=steps), suggest_scales=True)
    outputs = comfy.run(graph.graph.nodes)
    text = report(outputs, shown)
    assert text.splitlines()[-1].strip() == given.replace(",", ", ")
    assert suggested(outputs) == [[given.replace(",", ", "), 1]]
    assert f"at {'the only step' if steps == 1 else '3 steps'}." in text
    assert "12 of 13 blocks get 0" in text
    assert "computes 4 of its 13 blocks" in text


def test_for_different_scales_the_blocks_are_named(comfy: Host) -> None:
    graph = scaled("0,0,0,0.5" + ",0" * 9, "0,0,0,1" + ",0" * 9)
    shown = graph.xray(graph.sampled(steps=1), suggest_scales=True)
    outputs = comfy.run(graph.graph.nodes)
    last = report(outputs, shown).splitlines()[-1]
    assert suggested(outputs) == [[]]
    blocks = "0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, middle"
    assert (
        last == f"The ControlNets have different scales: give 0 to these blocks of each: {blocks}."
    )


def test_a_run_without_control_says_why_nothing_is_measured(comfy: Host) -> None:
    graph = Patched(Control(strength=0.0))
    shown = graph.xray(graph.sampled(steps=1), leave_one_out=True, suggest_scales=True)
    reason = "is not available: no step of this run had control."
    expected = [f"`{name}` {reason}" for name in ("leave_one_out", "suggest_scales")]
    assert report(comfy.run(graph.graph.nodes), shown).split("\n\n")[-2:] == expected


@pytest.mark.parametrize(
    "controls",
    [[Adapter()], [Control(file="widening.safetensors"), Adapter()]],
    ids=["alone", "with a ControlNet"],
)
def test_for_an_adapter_no_scales_are_suggested(comfy: Host, controls: list[Control]) -> None:
    """It has 4 blocks, but acts at more places of the UNet."""
    graph = Patched(*controls, shape=family(WIDENING))
    shown = graph.xray(graph.sampled(steps=1), suggest_scales=True)
    last = report(comfy.run(graph.graph.nodes), shown).splitlines()[-1]
    assert last.startswith("`suggest_scales` is not available for this kind of control")


@pytest.mark.skipif(
    not (WEIGHTS / "unet.safetensors").is_file(), reason="the embedded weights are not there"
)
def test_the_picture_of_the_embedded_model_has_its_blocks_and_steps(comfy: Host) -> None:
    graph = Graph()
    model, clip, _, net = tiny_nodes(graph)
    hint = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=4)
    numbers = {"strength": 1.0, "start_percent": 0.0, "end_percent": 0.5}
    model = graph.add("ApplyControlNet", model=model, control_net=net, image=hint, **numbers)
    conds = [graph.add("CLIPTextEncode", clip=clip, text=text) for text in (PROMPT, "")]
    samples = Sampling(steps=4, cfg=7.5, side=SIDE).ksampler(graph, model, *conds)
    seen = graph.add("ControlXRay", model=model, samples=samples, leave_one_out=True)
    saved = graph.add("SaveImage", images=seen, filename_prefix="embedded_xray")
    shown = graph.add("PreviewAny", source=[seen[0], 1])
    outputs = comfy.run(graph.nodes)
    text = outputs[shown[0]]["text"][0]
    assert "4 steps" in text
    assert sum(line.endswith(" %") for line in text.splitlines()) == 13
    name = outputs[saved[0]]["images"][0]["filename"]
    image = np.asarray(Image.open(comfy.base / "output" / name))
    assert image.shape[1] > 1000
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100
