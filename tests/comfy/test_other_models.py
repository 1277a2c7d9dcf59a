"""SD3.5, Flux, Qwen-Image and HunyuanDiT in whole graphs with KSampler: control as ComfyUI's own nodes give it."""

from dataclasses import dataclass, field

import pytest
from flows import COND_ONLY
from graphs import Graph, output, save
from host import Failed, Host
from torch import Tensor

FAMILIES = ["SD3.5", "Flux InstantX", "Qwen InstantX", "HunyuanDiT"]
INPAINT = "SD3 inpaint"
PATCHED = "Qwen DiffSynth"
WINDOW = {"start_percent": 0.0, "end_percent": 1.0}
WEIGHTS = {"cond_weight": 1.0, "uncond_weight": 0.5, "target_gain": 2.0}
ROUTED = 2e-5
#: The guidance multiplies rounding errors.
GUIDED = 1e-4
STEPS = 2
CFG = 4.0


@dataclass
class Run:
    """A graph of one family with KSampler, as it is put together."""

    comfy: Host
    name: str
    kind: str = "ProbeFamily"
    graph: Graph = field(default_factory=Graph)

    def __post_init__(self) -> None:
        parts = self.graph.add(self.kind, name=self.name)
        self.model, self.net, self.vae, *prompts, self.latent = (
            output(parts, index) for index in range(6)
        )
        self.positive, self.negative = prompts
        size = {"width": 64, "height": 64, "count": 1, "seed": 5}
        self.picture = self.graph.add("ProbePicture", **size)

    def native(self, negative: bool) -> "Run":
        """Puts ComfyUI's own control on the positive prompt, and on the negative one too."""
        both = self.graph.add(
            "ControlNetApplyAdvanced",
            positive=self.positive,
            negative=self.negative,
            control_net=self.net,
            image=self.picture,
            vae=self.vae,
            strength=1.0,
            **WINDOW,
        )
        self.positive = both
        self.negative = output(both, 1) if negative else self.negative
        return self

    def ours(self, routing: dict | None = None, vae: bool = True) -> "Run":
        """Puts ours on the model."""
        inputs = {"vae": self.vae} if vae else {}
        more = (
            {}
            if routing is None
            else {"routing": self.graph.add("CFGHintRouting", **{**WEIGHTS, **routing})}
        )
        self.model = self.graph.add(
            "ApplyControlNet",
            model=self.model,
            control_net=self.net,
            image=self.picture,
            strength=1.0,
            **WINDOW,
            **more,
            **inputs,
        )
        return self

    def patched(self, routing: dict | None = None) -> "Run":
        """Puts ComfyUI's own patch on the model, and Route Model Patch behind it."""
        self.model = self.graph.add(
            "QwenImageDiffsynthControlnet",
            model=self.model,
            model_patch=self.net,
            vae=self.vae,
            image=self.picture,
            strength=1.0,
        )
        if routing is not None:
            link = self.graph.add("CFGHintRouting", **{**WEIGHTS, **routing})
            self.model = self.graph.add("RouteModelPatch", model=self.model, routing=link, **WINDOW)
        return self

    def swapped(self) -> "Run":
        """Puts the negative prompt in place of the positive one, and the reverse."""
        self.positive, self.negative = self.negative, self.positive
        return self

    def sample(self, name: str, steps: int = STEPS, cfg: float = CFG) -> tuple[Tensor, int]:
        """Returns the latents, and how often this process has called the model so far."""
        latents = self.graph.add(
            "KSampler",
            model=self.model,
            positive=self.positive,
            negative=self.negative,
            latent_image=self.latent,
            seed=7,
            steps=steps,
            cfg=cfg,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
        )
        self.comfy.run(save(self.graph, latents, name))
        found = self.comfy.saved(name)
        return found.samples, len(found.counts[f"calls of {self.name}"])


@pytest.mark.parametrize("name", FAMILIES)
def test_control_is_native_control_at_half_the_calls(comfy: Host, name: str) -> None:
    plain, _ = Run(comfy, name).sample("plain")
    both, _ = Run(comfy, name).native(negative=True).sample("both")
    ours, before = Run(comfy, name).ours().sample("ours")
    assert effect_share_of(plain, both, ours) == 0
    positive, between = Run(comfy, name).native(negative=False).sample("positive")
    routed, end = Run(comfy, name).ours(COND_ONLY).sample("routed")
    assert effect_share_of(plain, positive, routed) <= ROUTED
    assert (between - before, end - between) == (2 * STEPS, STEPS)


def test_a_patch_of_the_model_is_routed(comfy: Host) -> None:
    def run() -> Run:
        return Run(comfy, PATCHED, "ProbePatched")

    plain, _ = run().sample("plain")
    patched, before = run().patched().sample("patched")
    both, _ = run().patched({"mode": "both"}).sample("both")
    assert effect_share_of(plain, patched, both) == 0
    routed, end = run().patched(COND_ONLY).sample("routed")
    assert effect_share_of(plain, patched, routed) > 0.01
    assert end - before == 2 * STEPS


@pytest.mark.parametrize("mode", ["cond_only", "uncond_only"])
def test_a_routed_patch_is_two_models_guided_by_hand(comfy: Host, mode: str) -> None:
    """One MODEL has the patch. At CFG 1, a single step of each gives the prediction for one prompt."""

    def run(patched: bool) -> Run:
        given = Run(comfy, PATCHED, "ProbePatched")
        return given.patched() if patched else given

    cond, _ = run(mode == "cond_only").sample("cond", 1, 1.0)
    uncond, _ = run(mode == "uncond_only").swapped().sample("uncond", 1, 1.0)
    by_hand = uncond + CFG * (cond - uncond)
    plain, _ = run(False).sample("plain", 1)
    routed, _ = run(False).patched({"mode": mode}).sample("routed", 1)
    assert effect_share_of(plain, by_hand, routed) <= GUIDED


@pytest.mark.parametrize(
    ("name", "vae", "words"),
    [("SD3.5", False, "`vae` is missing"), (INPAINT, True, "`inpaint_mask` is missing")],
)
def test_a_missing_input_is_refused_by_the_node(
    comfy: Host, name: str, vae: bool, words: str
) -> None:
    with pytest.raises(Failed, match=words) as caught:
        Run(comfy, name).ours(vae=vae).sample("refused")
    assert caught.value.node == "ApplyControlNet"


def effect_share_of(plain: Tensor, native: Tensor, ours: Tensor) -> float:
    """Returns how far ours is from native control, as a share of the control's own effect."""
    effect = float((native - plain).abs().max())
    assert effect > 0.01 * float(plain.abs().max())
    return float((native - ours).abs().max()) / effect
