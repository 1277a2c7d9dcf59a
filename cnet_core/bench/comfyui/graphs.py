"""The timed prompts: one graph per way to control, in ComfyUI's API format."""

import json
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from ...nets.config import UNetConfig
from ..settings import TOKENS, BenchSettings

#: A link to an output of a node: [node id, index].
Link = list[Any]
#: The ControlNet's file among ComfyUI's models.
FILE = "bench.safetensors"
#: Steps of a prompt: few on a CPU, elsewhere the usual number.
CPU_STEPS, STEPS = 3, 20

PLAIN = "no control"
LIMITS = {"both": "encoder and middle, all rows", "cond": "encoder and middle, cond rows"}
#: Way -> which limit its overhead is measured in.
LIMIT_OF = {
    "both": "both",
    "cond only": "cond",
    "ComfyUI: both": "both",
    "ComfyUI: on the positive alone": "cond",
    "Advanced-ControlNet: uncond multiplier 0": "cond",
}
RANGE = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}


@dataclass
class Graph:
    """A prompt under construction, with what all ways have in common."""

    settings: BenchSettings
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def add(self, kind: str, **inputs: Any) -> Link:
        """Adds a node and returns a link to its first output."""
        key = str(len(self.nodes) + 1)
        self.nodes[key] = {"class_type": kind, "inputs": inputs}
        return [key, 0]

    def model(self) -> Link:
        """Adds the UNet."""
        arguments = json.dumps(unet_arguments(self.settings.config), sort_keys=True)
        return self.add("CnetBenchModel", arguments=arguments)

    def texts(self) -> tuple[Link, Link]:
        """Adds the positive and the negative."""
        config = self.settings.config
        size = {"tokens": TOKENS, "width": config.context_dim, "vector": config.y_dim or 0}
        first, second = (self.add("CnetBenchText", **size, seed=seed) for seed in (1, 2))
        return first, second

    def image(self) -> Link:
        """Adds a hint."""
        side = self.settings.side
        return self.add("EmptyImage", width=side, height=side, batch_size=1, color=0x4080C0)

    def native(self) -> Link:
        """Adds ComfyUI's own ControlNet."""
        return self.add("ControlNetLoader", control_net_name=FILE)

    def sample(self, model: Link, positive: Link, negative: Link, seed: int) -> dict[str, Any]:
        """Adds the sampler and returns the finished prompt."""
        side = self.settings.side
        latents = self.add(
            "EmptyLatentImage", width=side, height=side, batch_size=self.settings.pictures
        )
        samples = self.add(
            "KSampler",
            model=model,
            positive=positive,
            negative=negative,
            latent_image=latents,
            seed=seed,
            steps=steps(self.settings),
            cfg=7.5,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        self.add("CnetBenchEnd", samples=samples)
        return self.nodes


def steps(settings: BenchSettings) -> int:
    """Returns how many steps a prompt has."""
    if settings.prompt_steps is not None:
        return settings.prompt_steps
    return CPU_STEPS if settings.device == "cpu" else STEPS


#: Settings and a seed -> a prompt.
Way = Callable[[BenchSettings, int], dict[str, Any]]


def ways(nodes: Container[str]) -> dict[str, Way]:
    """Returns each way by name; those of other packs only if they are installed."""
    found: dict[str, Way] = {
        PLAIN: plain,
        LIMITS["both"]: lambda settings, seed: limit(settings, seed, "all"),
        LIMITS["cond"]: lambda settings, seed: limit(settings, seed, "cond"),
        "both": lambda settings, seed: ours(settings, seed, "both"),
        "cond only": lambda settings, seed: ours(settings, seed, "cond_only"),
        "ComfyUI: both": lambda settings, seed: native(settings, seed, True),
        "ComfyUI: on the positive alone": lambda settings, seed: native(settings, seed, False),
    }
    if "ACN_AdvancedControlNetApply_v2" in nodes:
        found["Advanced-ControlNet: uncond multiplier 0"] = use_advanced_controlnet
    return found


def plain(settings: BenchSettings, seed: int) -> dict[str, Any]:
    """The UNet alone."""
    graph = Graph(settings)
    return graph.sample(graph.model(), *graph.texts(), seed)


def limit(settings: BenchSettings, seed: int, rows: str) -> dict[str, Any]:
    """The UNet, with one more pass of its encoder and middle."""
    graph = Graph(settings)
    model = graph.add("CnetBenchLimit", model=graph.model(), rows=rows)
    return graph.sample(model, *graph.texts(), seed)


def ours(settings: BenchSettings, seed: int, mode: str) -> dict[str, Any]:
    """Apply ControlNet (to the model)."""
    graph = Graph(settings)
    net = graph.add("LoadControlNet", control_net_name=FILE, compile=settings.compile)
    routing = graph.add(
        "CFGHintRouting", mode=mode, cond_weight=1.0, uncond_weight=0.5, target_gain=2.0
    )
    model = graph.add(
        "ApplyControlNet",
        model=graph.model(),
        control_net=net,
        image=graph.image(),
        routing=routing,
        **RANGE,
    )
    return graph.sample(model, *graph.texts(), seed)


def native(settings: BenchSettings, seed: int, on_negative: bool) -> dict[str, Any]:
    """ComfyUI's own control on both conditionings, or on the positive alone: then it calls the UNet twice."""
    graph = Graph(settings)
    positive, negative = graph.texts()
    applied = graph.add(
        "ControlNetApplyAdvanced",
        positive=positive,
        negative=negative,
        control_net=graph.native(),
        image=graph.image(),
        **RANGE,
    )
    return graph.sample(graph.model(), applied, [applied[0], 1] if on_negative else negative, seed)


def use_advanced_controlnet(settings: BenchSettings, seed: int) -> dict[str, Any]:
    """Kosinkadink's ComfyUI-Advanced-ControlNet, its control taken out of the uncond rows."""
    graph = Graph(settings)
    positive, negative = graph.texts()
    weights = graph.add(
        "ACN_ScaledSoftControlNetWeights", base_multiplier=1.0, uncond_multiplier=0.0
    )
    applied = graph.add(
        "ACN_AdvancedControlNetApply_v2",
        positive=positive,
        negative=negative,
        control_net=graph.native(),
        image=graph.image(),
        weights_override=weights,
        **RANGE,
    )
    return graph.sample(graph.model(), applied, [applied[0], 1], seed)


def unet_arguments(config: UNetConfig) -> dict[str, Any]:
    """Returns ComfyUI's arguments for a UNet of this shape."""
    heads, depths = config.num_heads, config.depths
    vector = {"adm_in_channels": config.y_dim, "num_classes": "sequential"}
    return {
        "image_size": 32,
        "in_channels": config.in_channels,
        "out_channels": config.in_channels,
        "model_channels": config.model_channels,
        "channel_mult": list(config.channel_mult),
        "num_res_blocks": [len(level) for level in depths],
        "num_heads": heads or -1,
        "num_head_channels": -1 if heads else config.head_dim,
        "transformer_depth": [depth for level in depths for depth in level],
        "transformer_depth_output": [depth for level in depths for depth in (*level, level[-1])],
        "transformer_depth_middle": config.middle_depth,
        "context_dim": config.context_dim,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": config.linear_proj,
        "legacy": False,
        **(vector if config.y_dim is not None else {}),
    }
