"""The example workflows, put together; `tests/comfy/make_examples.py` writes them."""

from collections.abc import Callable
from typing import Any

from flows import ROUTING, SCALES
from graphs import Graph, Link, output

SIDE = 128
PROMPT = "a coral square on a navy background"
NUMBERS = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
SAMPLER = {
    "seed": 1,
    "steps": 20,
    "cfg": 7.5,
    "sampler_name": "euler",
    "scheduler": "normal",
    "denoise": 1.0,
}

TRAINING = {
    "steps": 150,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "prompt_dropout": 0.5,
    "hint_init": "balanced",
    "seed": 0,
}


class Tiny:
    """A graph with the embedded model, two prompts and an empty latent."""

    def __init__(self, prompt: str = PROMPT, side: int = SIDE) -> None:
        self.graph = Graph()
        self.model = self.graph.add("LoadTinyStableDiffusion")
        self.clip, self.vae, self.net = (output(self.model, index) for index in (1, 2, 3))
        self.positive = self.graph.add("CLIPTextEncode", clip=self.clip, text=prompt)
        self.negative = self.graph.add("CLIPTextEncode", clip=self.clip, text="")
        self.latent = self.graph.add("EmptyLatentImage", width=side, height=side, batch_size=1)

    def square(self, side: int, x: int, y: int) -> Link:
        """Adds a mask with a white square."""
        empty = self.graph.add("SolidMask", value=0.0, width=SIDE, height=SIDE)
        square = self.graph.add("SolidMask", value=1.0, width=side, height=side)
        return self.graph.add(
            "MaskComposite", destination=empty, source=square, x=x, y=y, operation="add"
        )

    def outline(self, mask: Link) -> Link:
        """Adds the edges of a mask: the hint."""
        picture = self.graph.add("MaskToImage", mask=mask)
        return self.graph.add("Canny", image=picture, low_threshold=0.1, high_threshold=0.3)

    def controlled(self, hint: Link, model: Link | None = None, **inputs: Any) -> Link:
        """Adds ApplyControlNet."""
        return self.graph.add(
            "ApplyControlNet",
            model=self.model if model is None else model,
            control_net=self.net,
            image=hint,
            **{**NUMBERS, **inputs},
        )

    def routing(self, **changes: Any) -> Link:
        """Adds CFGHintRouting."""
        return self.graph.add("CFGHintRouting", **{**ROUTING, **changes})

    def scales(self, **changes: Any) -> Link:
        """Adds BlockScaleSchedule."""
        return self.graph.add("BlockScaleSchedule", **{**SCALES, **changes})

    def picture(self, model: Link, name: str) -> Link:
        """Adds sampler, decoder and SaveImage; returns the latents."""
        latents = self.graph.add(
            "KSampler",
            model=model,
            positive=self.positive,
            negative=self.negative,
            latent_image=self.latent,
            **SAMPLER,
        )
        pixels = self.graph.add("VAEDecode", samples=latents, vae=self.vae)
        self.graph.add("SaveImage", images=pixels, filename_prefix=f"cnet/{name}")
        return latents


def first_steps() -> Graph:
    """A square is drawn where the hint has one."""
    tiny = Tiny()
    tiny.picture(tiny.controlled(tiny.outline(tiny.square(56, 40, 30))), "first_steps")
    return tiny.graph


def both_against_cond_only() -> Graph:
    """No control, control in both branches, in cond alone."""
    tiny = Tiny("")
    hint = tiny.outline(tiny.square(56, 40, 30))
    tiny.picture(tiny.model, "no_control")
    tiny.picture(tiny.controlled(hint, routing=tiny.routing(mode="both")), "both")
    tiny.picture(tiny.controlled(hint, routing=tiny.routing()), "cond_only")
    return tiny.graph


def schedules_side_by_side() -> Graph:
    """Four profiles, control in cond alone."""
    tiny = Tiny("")
    hint, routing = tiny.outline(tiny.square(56, 40, 30)), tiny.routing()
    for profile in ("uniform", "soft", "resolution", "resolution_raw"):
        scales = tiny.scales(profile=profile)
        tiny.picture(tiny.controlled(hint, routing=routing, scales=scales), profile)
    return tiny.graph


def two_controlnets() -> Graph:
    """Two hints, one behind the other."""
    tiny = Tiny()
    one = tiny.outline(tiny.square(40, 10, 10))
    other = tiny.outline(tiny.square(48, 70, 66))
    first = tiny.controlled(one, strength=0.8)
    tiny.picture(tiny.controlled(other, model=first, strength=0.8), "two_controlnets")
    return tiny.graph


def masked_region() -> Graph:
    """Of two squares in the hint, the mask leaves one."""
    tiny = Tiny()
    both = tiny.graph.add(
        "MaskComposite",
        destination=tiny.square(40, 10, 10),
        source=tiny.square(48, 70, 66),
        x=0,
        y=0,
        operation="add",
    )
    where = tiny.square(64, 64, 60)
    tiny.picture(tiny.controlled(tiny.outline(both), mask=where), "masked_region")
    return tiny.graph


def control_xray() -> Graph:
    """What one hint injected twice: in both branches to the end, and in cond alone for the first half of the run."""
    tiny = Tiny()
    hint = tiny.outline(tiny.square(56, 40, 30))
    model = tiny.controlled(hint, strength=0.6)
    model = tiny.controlled(
        hint,
        model=model,
        strength=0.4,
        end_percent=0.5,
        routing=tiny.routing(),
        scales=tiny.scales(),
    )
    latents = tiny.picture(model, "control_xray")
    seen = tiny.graph.add("ControlXRay", model=model, samples=latents, leave_one_out=True)
    tiny.graph.add("SaveImage", images=seen, filename_prefix="cnet/xray")
    tiny.graph.add("PreviewAny", source=output(seen, 1))
    return tiny.graph


def train_and_use() -> Graph:
    """A ControlNet is trained, then draws in the same graph; its plot is saved beside the picture."""
    tiny = Tiny(side=64)
    samples = tiny.graph.add("TinyTrainingSamples", count=256, side=64, seed=0)
    tiny.net = tiny.graph.add(
        "TrainControlNet",
        model=tiny.model,
        vae=tiny.vae,
        clip=tiny.clip,
        images=samples,
        hints=output(samples, 1),
        captions=output(samples, 2),
        **TRAINING,
    )
    tiny.graph.add(
        "SaveControlNet", control_net=tiny.net, filename_prefix="controlnet/trained", layout="ldm"
    )
    hint = output(tiny.graph.add("TinyTrainingSamples", count=2, side=64, seed=1), 1)
    one = tiny.graph.add("ImageFromBatch", image=hint, batch_index=0, length=1)
    tiny.picture(tiny.controlled(one), "trained")
    tiny.graph.add("SaveImage", images=output(tiny.net, 1), filename_prefix="cnet/plot")
    return tiny.graph


def stable_diffusion_15() -> Graph:
    """A real checkpoint and ControlNet; the files are named as published."""
    graph = Graph()
    model = graph.add("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors")
    clip, vae = output(model, 1), output(model, 2)
    net = graph.add("LoadControlNet", control_net_name="control_v11p_sd15_canny_fp16.safetensors")
    image = graph.add("LoadImage", image="example.png")
    edges = graph.add("Canny", image=image, low_threshold=0.3, high_threshold=0.7)
    inputs = {"routing": graph.add("CFGHintRouting", **ROUTING)}
    inputs["scales"] = graph.add("BlockScaleSchedule", **SCALES)
    patched = graph.add(
        "ApplyControlNet", model=model, control_net=net, image=edges, **NUMBERS, **inputs
    )
    latents = graph.add(
        "KSampler",
        model=patched,
        positive=graph.add("CLIPTextEncode", clip=clip, text="a watercolour of a lighthouse"),
        negative=graph.add("CLIPTextEncode", clip=clip, text="blurry"),
        latent_image=graph.add("EmptyLatentImage", width=512, height=512, batch_size=1),
        **SAMPLER,
    )
    pixels = graph.add("VAEDecode", samples=latents, vae=vae)
    graph.add("SaveImage", images=pixels, filename_prefix="cnet/sd15")
    return graph


EMBEDDED = "It uses the model embedded in this pack: nothing has to be downloaded."
#: File name -> (graph, note). The last needs files of one's own.
EXAMPLES: dict[str, tuple[Callable[[], Graph], str]] = {
    "first_steps": (
        first_steps,
        f"## First steps\n\nThe hint is the outline of a square; the picture follows it. {EMBEDDED}\n\n"
        "Try: another colour in the prompt, another place of the square, strength 0.",
    ),
    "both_against_cond_only": (
        both_against_cond_only,
        "## Both against cond only\n\nThe same seed without control, with control in both branches of guidance, "
        "and in cond alone: there the CFG scale multiplies it, and with an empty prompt the colours burn. "
        f"{EMBEDDED}",
    ),
    "schedules_side_by_side": (
        schedules_side_by_side,
        "## Schedules side by side\n\nControl in cond alone with four block-scale profiles. soft and resolution "
        f"tame the colours and keep the shape; resolution_raw is far too strong. {EMBEDDED}",
    ),
    "two_controlnets": (
        two_controlnets,
        "## Two ControlNets\n\nApplyControlNet nodes chain by their model; their controls add up. "
        f"{EMBEDDED}",
    ),
    "masked_region": (
        masked_region,
        "## A masked region\n\nThe hint holds two squares. The mask is white around one of them, so only that one "
        f"is followed. {EMBEDDED}",
    ),
    "control_xray": (
        control_xray,
        "## Control X-ray\n\nWhat two ControlNets injected, one in both branches, one in cond alone for the first "
        "half: by block and step, for cond and uncond, with the gains and each block's influence on the last "
        f"prediction. {EMBEDDED}",
    ),
    "train_and_use": (
        train_and_use,
        "## Train a ControlNet, then use it\n\nTrainControlNet learns from 256 drawn samples how outlines lead to "
        "shapes, in a minute or two; the picture is drawn with what it has learned, and SaveControlNet keeps it. "
        f"{EMBEDDED}\n\nTry: more steps; interrupt it half-way; pictures, hints and captions of your own.",
    ),
    "stable_diffusion_15": (
        stable_diffusion_15,
        "## With Stable Diffusion 1.5\n\nNeeds `v1-5-pruned-emaonly-fp16.safetensors` in models/checkpoints, "
        "`control_v11p_sd15_canny_fp16.safetensors` in models/controlnet, and a picture of yours.",
    ),
}
