"""Many prompts in one server: other sizes, routings, hints, ControlNets, models and samplers each time, some of which
are interrupted and some fail; and the same prompts in a fresh server, one by one, to compare with.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from flows import WIRINGS, Control
from graphs import Graph, Link, Sampling, save
from host import Failed, Host
from hosts import basic_guider, cfg_guider
from weights import SD15, SDXL, family

#: How prompts end -> what ComfyUI says then, and how many of ten do.
ENDS = {"well": "nothing: it raises none", "interrupted": "interrupted", "failing": "on purpose"}
INTERRUPTED, FAILING = 1, 1
#: Under these names all calls of UNets and ControlNets are counted.
UNET, NET = "long use unet", "long use net"
STEPS, BATCH = 3, 2
#: Looks until all is to be freed.
FREEING = 10
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


#: What ProbeMemory writes.
Look = dict[str, Any]


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
            count_as=NET,
            count_on=True,
        )
        wired = (shape.model(graph), shape.cond(graph, 1), shape.cond(graph, 2))
        model, *conds = WIRINGS["ours"](graph, control, wired)
        counted = graph.add("ProbeCount", model=self._hindered(graph, model), name=UNET, go_on=True)
        how = Sampling(steps=STEPS, side=self.side, batch=BATCH, seed=self.seed)
        latents = SAMPLERS[self.sampler](graph, counted, *conds, how)
        graph.add(
            "ProbeMemory", name=name, after=latents
        )  # in this graph: another would end caches
        return save(graph, latents, name)

    @property
    def calls(self) -> dict[str, list[object]]:
        """The calls that are to be counted if it ends well: conds of the UNet's, rows of the ControlNet's."""
        conds = [0] if self.sampler == "BasicGuider" else [1, 0]
        chunks = {"cond_only": 1, "uncond_only": len(conds) - 1}.get(self.mode, len(conds))
        return {UNET: [conds] * STEPS, NET: [BATCH * chunks] * STEPS if chunks else []}

    def _hindered(self, graph: Graph, model: Link) -> Link:
        if self.ends == "failing":
            return graph.add("ProbeBreak", model=model, call=2)
        if self.ends == "interrupted":
            return graph.add("ProbeInterrupt", model=model, call=2)
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


def run_all(comfy: Host, listed: list[Prompt]) -> tuple[dict[Prompt, torch.Tensor], list[Look]]:
    """Runs the prompts one behind the other; returns the latents of those that end well, and what lived at their ends.

    Raises:
        ValueError: the same prompt gave other latents than before, or the calls of a prompt are not as planned.
    """
    found: dict[Prompt, torch.Tensor] = {}
    looks: list[Look] = []
    before: Look | None = None  # at the end of the prompt before, if it ended well
    for prompt in listed:
        latents = _run(comfy, prompt)
        if latents is None:
            before = None
            continue
        looks.append(comfy.memory("long use"))
        if not torch.equal(found.setdefault(prompt, latents), latents):
            raise ValueError(f"a second run of {prompt.name} gave other latents")
        if before is not None and (calls := _calls_since(before, looks[-1])) != prompt.calls:
            raise ValueError(f"{prompt.name}: the calls were {calls}")
        before = looks[-1]
    return found, looks


def _calls_since(before: Look, now: Look) -> dict[str, list[object]]:
    return {name: now["counts"][name][len(before["counts"][name]) :] for name in (UNET, NET)}


def _run(comfy: Host, prompt: Prompt) -> torch.Tensor | None:
    """Returns the latents, or None for a prompt that does not end well, as planned."""
    try:
        comfy.run(prompt.graph("long use"))
    except Failed as error:
        if ENDS[prompt.ends] not in str(error):
            raise
        return None
    if prompt.ends != "well":
        raise ValueError(f"{prompt.name} was to end {prompt.ends}, but ended well")
    return comfy.saved("long use").samples


def fresh(comfy: Host, prompt: Prompt) -> torch.Tensor:
    """Returns a prompt's latents from a server that has nothing loaded and nothing cached."""
    _empty(comfy)
    comfy.run(prompt.graph("fresh"))
    return comfy.saved("fresh").samples


def _empty(comfy: Host) -> None:
    """Has ComfyUI free all, which it does in its own time, and looks whether it did."""
    comfy.post("/free", {"unload_models": True, "free_memory": True})
    for _ in range(FREEING):
        loaded = look(comfy)["loaded"]
        if not loaded:
            return
    raise RuntimeError(f"ComfyUI was to free its memory, but {loaded} are loaded")


def look(comfy: Host) -> Look:
    """Returns what lives in ComfyUI now."""
    graph = Graph()
    graph.add("ProbeMemory", name="look")
    comfy.run(graph.nodes)
    return comfy.memory("look")
