"""Many prompts in one server: other sizes, routings, hints, ControlNets, models and samplers each time, some of which
are interrupted and some fail; and the same prompts in a fresh server, one by one, to compare with.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from flows import WIRINGS, Control
from graphs import Graph, Link, Sampling, save
from host import Failed, Host
from hosts import basic_guider, cfg_guider
from weights import SD15, SDXL, family

#: How many of ten prompts are interrupted, and how many fail on purpose.
INTERRUPTED, FAILING = 1, 1
FILES = {"sd15": ["sd15", "sd15_other"], "sdxl": ["sdxl", "union"]}
FAMILIES = {"sd15": family(SD15), "sdxl": family(SDXL)}
MODES = ("both", "cond_only", "uncond_only", "weighted", "target_gain")
SAMPLERS = {
    "KSampler": lambda graph, model, positive, negative, how: how.ksampler(
        graph, model, positive, negative
    ),
    "CFGGuider": cfg_guider,
    "BasicGuider": basic_guider,
}


@dataclass(frozen=True)
class Prompt:
    """One prompt, and how it ends."""

    model: str
    file: str
    mode: str
    sampler: str
    side: int
    hints: int
    seed: int
    ends: str = "well"  # "well", "interrupted", "failing"

    @property
    def name(self) -> str:
        """A name under which its latents are saved."""
        return f"{self.model} {self.file} {self.mode} {self.sampler} {self.side} {self.hints} {self.seed}"

    def graph(self, name: str) -> dict[str, object]:
        """Returns its graph; latents are saved under `name`."""
        graph, shape = Graph(), FAMILIES[self.model]
        control = Control(
            file=f"{self.file}.safetensors",
            hints=self.hints,
            hint_seed=self.seed,
            routing={"mode": self.mode},
        )
        wired = (shape.model(graph), shape.cond(graph, 1), shape.cond(graph, 2))
        model, *conds = WIRINGS["ours"](graph, control, wired)
        how = Sampling(steps=3, side=self.side, batch=2, seed=self.seed)
        latents = SAMPLERS[self.sampler](graph, self._hindered(graph, model), *conds, how)
        return save(graph, latents, name)

    def _hindered(self, graph: Graph, model: Link) -> Link:
        if self.ends == "failing":
            return graph.add("ProbeBreak", model=model, call=2)
        if self.ends == "interrupted":
            return graph.add("ProbeSlow", model=model, seconds=1.0)
        return model


def prompts(count: int, seed: int = 0) -> Iterator[Prompt]:
    """Gives prompts at random, the same for the same seed."""
    draw = random.Random(seed)
    ends = ["interrupted"] * INTERRUPTED + ["failing"] * FAILING
    ends += ["well"] * (10 - len(ends))
    for _ in range(count):
        model = draw.choice(list(FILES))
        yield Prompt(
            model,
            draw.choice(FILES[model]),
            draw.choice(MODES),
            draw.choice(list(SAMPLERS)),
            draw.choice((64, 96)),
            draw.choice((1, 2)),
            draw.randrange(4),
            draw.choice(ends),
        )


def run_all(
    comfy: Host, listed: list[Prompt], after: Callable[[int], None]
) -> dict[Prompt, torch.Tensor]:
    """Runs the prompts one behind the other, `after` behind each; returns the latents of those that end well."""
    found: dict[Prompt, torch.Tensor] = {}
    for index, prompt in enumerate(listed):
        queued = comfy.queue(prompt.graph("long use"))
        if prompt.ends == "interrupted":
            _wait_for_sampling(comfy, queued)
            comfy.post("/interrupt", {})
        try:
            comfy.wait(queued)
            latents = comfy.saved("long use").samples
            if not torch.equal(found.setdefault(prompt, latents), latents):
                raise ValueError(f"a second run of {prompt.name} gave other latents")
        except Failed:
            if prompt.ends == "well":
                raise
        after(index)
    return found


def fresh(comfy: Host, prompt: Prompt) -> torch.Tensor:
    """Returns a prompt's latents from a server that has nothing loaded and nothing cached."""
    comfy.post("/free", {"unload_models": True, "free_memory": True})
    comfy.run(prompt.graph("fresh"))
    return comfy.saved("fresh").samples


def look(comfy: Host) -> dict[str, object]:
    """Returns what lives in ComfyUI now."""
    graph = Graph()
    graph.add("ProbeMemory", name="look")
    comfy.run(graph.nodes)
    return comfy.memory("look")


def _wait_for_sampling(comfy: Host, queued: str) -> None:
    """Waits until a prompt runs; the rest of a second is spent before its first step."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any(entry[1] == queued for entry in comfy.get("/queue")["queue_running"]):
            time.sleep(0.5)
            return
        if comfy.get(f"/history/{queued}"):
            return
        time.sleep(0.02)
