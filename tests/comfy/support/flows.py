"""Whole graphs: a control (ours, ComfyUI's own, none) with a family of models and a way to sample."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphs import Family, Graph, Link, Sampling, output, save
from host import Host, Result

#: The logger of measured differences: `pytest -o log_cli=true --log-cli-level=info` shows them by test.
logger = logging.getLogger("cnet.figures")

#: Adds a sampler: (graph, model, positive, negative, sampling) -> latents.
Sampler = Callable[[Graph, Link, Link, Link, Sampling], Link]
#: Adds nodes behind the model: (graph, model) -> model.
ModelNodes = Callable[[Graph, Link], Link]


@dataclass(frozen=True)
class Control:
    """A control picture and its numbers, wired one way or the other."""

    kind: str = "ours"  # a key of WIRINGS
    file: str = "sd15.safetensors"
    strength: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)
    hints: int = 1
    hint_side: int = 64
    hint_seed: int = 5
    hint_width: int = 0  # of a hint that is wider than high; 0: a square
    hint_cut: bool = False  # whether a node cuts it to the square in its middle
    inputs: Mapping[str, Any] = field(default_factory=dict)  # further inputs of ApplyControlNet
    routing: Mapping[str, Any] | None = None  # inputs of CFGHintRouting
    scales: Mapping[str, Any] | None = None  # inputs of BlockScaleSchedule
    #: The value of a mask everywhere, or of one per picture; or RIGHT_HALF.
    mask: float | Sequence[float] | str | None = None
    count_as: str = ""  # a name under which the rows of the ControlNet's runs are counted
    count_on: bool = False  # whether the counts of earlier prompts are kept

    def picture(self, graph: Graph) -> Link:
        """Adds the hint."""
        side, width = self.hint_side, self.hint_width or self.hint_side
        facts = {"count": self.hints, "seed": self.hint_seed}
        picture = graph.add("ProbePicture", width=width, height=side, **facts)
        if not self.hint_cut:
            return picture
        middle = {"x": (width - side) // 2, "y": 0, "width": side, "height": side}
        return graph.add("ImageCrop", image=picture, **middle)

    def net(self, graph: Graph, loader: str) -> Link:
        """Adds the loader of the ControlNet."""
        return graph.add(loader, control_net_name=self.file)

    @property
    def numbers(self) -> dict[str, float]:
        """Strength and window, as both Apply nodes name them."""
        start, end = self.window
        return {"strength": self.strength, "start_percent": start, "end_percent": end}


Wired = tuple[Link, Link, Link]  # model, positive, negative


def _none(graph: Graph, control: Control, wired: Wired) -> Wired:
    return wired


def _native(graph: Graph, control: Control, wired: Wired) -> Wired:
    model, positive, negative = wired
    both = _native_apply(graph, control, positive, negative)
    return model, both, output(both, 1)


def _native_positive(graph: Graph, control: Control, wired: Wired) -> Wired:
    model, positive, negative = wired
    return model, _native_apply(graph, control, positive, negative), negative


def _native_apply(
    graph: Graph, control: Control, positive: Link, negative: Link, net: Link | None = None
) -> Link:
    net = control.net(graph, "ControlNetLoader") if net is None else net
    return graph.add(
        "ControlNetApplyAdvanced",
        positive=positive,
        negative=negative,
        control_net=net,
        image=control.picture(graph),
        **control.numbers,
    )


def _advanced(graph: Graph, control: Control, wired: Wired) -> Wired:
    """Kosinkadink's ComfyUI-Advanced-ControlNet, its control taken out of the uncond rows."""
    model, positive, negative = wired
    weights = graph.add(
        "ACN_ScaledSoftControlNetWeights", base_multiplier=1.0, uncond_multiplier=0.0
    )
    applied = graph.add(
        "ACN_AdvancedControlNetApply_v2",
        positive=positive,
        negative=negative,
        control_net=control.net(graph, "ControlNetLoader"),
        image=control.picture(graph),
        weights_override=weights,
        **control.numbers,
    )
    return model, applied, output(applied, 1)


def _ours(graph: Graph, control: Control, wired: Wired, loader: str = "LoadControlNet") -> Wired:
    model, positive, negative = wired
    patched = graph.add(
        "ApplyControlNet",
        model=model,
        control_net=_counted_net(graph, control, loader),
        image=control.picture(graph),
        **control.numbers,
        **_settings(graph, control),
    )
    return patched, positive, negative


def _ours_from_native_loader(graph: Graph, control: Control, wired: Wired) -> Wired:
    return _ours(graph, control, wired, loader="ControlNetLoader")


def _routed(graph: Graph, control: Control, wired: Wired, loader: str = "LoadControlNet") -> Wired:
    """Route ControlNet, and ComfyUI's Apply node behind it."""
    model, positive, negative = wired
    net = _counted_net(graph, control, loader)
    net = graph.add("RouteControlNet", control_net=net, **_settings(graph, control))
    both = _native_apply(graph, control, positive, negative, net)
    return model, both, output(both, 1)


def _routed_from_native_loader(graph: Graph, control: Control, wired: Wired) -> Wired:
    return _routed(graph, control, wired, loader="ControlNetLoader")


def _routed_twice(graph: Graph, control: Control, wired: Wired) -> Wired:
    """Two Route ControlNets that share the settings, and ComfyUI's Apply node."""
    model, positive, negative = wired
    settings = _settings(graph, control)
    routing = {name: settings.pop(name) for name in ("routing",) if name in settings}
    net = graph.add("RouteControlNet", control_net=control.net(graph, "LoadControlNet"), **settings)
    net = graph.add("RouteControlNet", control_net=net, **routing)
    both = _native_apply(graph, control, positive, negative, net)
    return model, both, output(both, 1)


def _routed_to_model(graph: Graph, control: Control, wired: Wired) -> Wired:
    """Route ControlNet, and our Apply node behind it."""
    model, positive, negative = wired
    net = control.net(graph, "LoadControlNet")
    net = graph.add("RouteControlNet", control_net=net, **_settings(graph, control))
    given = {"control_net": net, "image": control.picture(graph), **control.numbers}
    return graph.add("ApplyControlNet", model=model, **given), positive, negative


def _routed_beside_mask(graph: Graph, control: Control, wired: Wired) -> Wired:
    """A mask for the right half of the picture."""
    model, positive, negative = wired
    mask = _right_half_mask(graph, control.hint_side)
    net = control.net(graph, "LoadControlNet")
    net = graph.add("RouteControlNet", control_net=net, mask=mask)
    both = _native_apply(graph, control, positive, negative, net)
    return model, both, output(both, 1)


def _routed_by_advanced(graph: Graph, control: Control, wired: Wired) -> Wired:
    """Route ControlNet, and the Apply node of Advanced-ControlNet behind it, with the mask there."""
    model, positive, negative = wired
    net = _counted_net(graph, control, "LoadControlNet")
    settings = _settings(graph, control)
    mask = {"mask_optional": settings.pop("mask")} if "mask" in settings else {}
    applied = graph.add(
        "ACN_AdvancedControlNetApply_v2",
        positive=positive,
        negative=negative,
        control_net=graph.add("RouteControlNet", control_net=net, **settings),
        image=control.picture(graph),
        **control.numbers,
        **mask,
    )
    return model, applied, output(applied, 1)


def _loaded(graph: Graph, control: Control, wired: Wired) -> Wired:
    """Our loader, and ComfyUI's Apply node behind it."""
    model, positive, negative = wired
    net = _counted_net(graph, control, "LoadControlNet")
    both = _native_apply(graph, control, positive, negative, net)
    return model, both, output(both, 1)


def _counted_net(graph: Graph, control: Control, loader: str) -> Link:
    net = control.net(graph, loader)
    if not control.count_as:
        return net
    counting = {"name": control.count_as, "go_on": control.count_on}
    return graph.add("ProbeCountNet", control_net=net, **counting)


def _settings(graph: Graph, control: Control) -> dict[str, Any]:
    """Adds the nodes of a control's settings; returns the inputs that they go to."""
    inputs = dict(control.inputs)
    if control.mask is not None:
        inputs["mask"] = (
            _right_half_mask(graph, control.hint_side)
            if isinstance(control.mask, str)
            else _constant_masks(graph, control.mask)
        )
    if control.routing is not None:
        inputs["routing"] = graph.add("CFGHintRouting", **{**ROUTING, **control.routing})
    if control.scales is not None:
        inputs["scales"] = graph.add("BlockScaleSchedule", **{**SCALES, **control.scales})
    return inputs


def _right_half_mask(graph: Graph, side: int) -> Link:
    """Adds a square mask that is white in its right half."""
    black = graph.add("SolidMask", value=0.0, width=side, height=side)
    white = graph.add("SolidMask", value=1.0, width=side // 2, height=side)
    place = {"x": side // 2, "y": 0, "operation": "add"}
    return graph.add("MaskComposite", destination=black, source=white, **place)


def _constant_masks(graph: Graph, values: float | Sequence[float]) -> Link:
    """Adds a mask that is the same everywhere, or a batch of them."""
    if isinstance(values, float):
        return graph.add("SolidMask", value=values, width=32, height=32)
    pictures = [graph.add("MaskToImage", mask=_constant_masks(graph, value)) for value in values]
    batch = pictures[0]
    for picture in pictures[1:]:
        batch = graph.add("ImageBatch", image1=batch, image2=picture)
    return graph.add("ImageToMask", image=batch, channel="red")


ROUTING = {"mode": "cond_only", "cond_weight": 1.0, "uncond_weight": 0.5, "target_gain": 2.0}
SCALES = {"profile": "soft", "base": 0.825, "custom_scales": ""}
COND_ONLY = {"mode": "cond_only"}
#: A mask that is black in the left half of the picture.
RIGHT_HALF = "right half"

#: Control.kind -> how it is wired.
WIRINGS: dict[str, Callable[[Graph, Control, Wired], Wired]] = {
    "none": _none,
    "native": _native,
    "native_positive": _native_positive,
    "advanced": _advanced,
    "ours": _ours,
    "ours_from_native_loader": _ours_from_native_loader,
    "loaded": _loaded,
    "routed_twice": _routed_twice,
    "routed_to_model": _routed_to_model,
    "routed_beside_mask": _routed_beside_mask,
    "routed_by_advanced": _routed_by_advanced,
    "routed": _routed,
    "routed_from_native_loader": _routed_from_native_loader,
}


def ksampler(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """ComfyUI's KSampler."""
    return how.ksampler(graph, model, positive, negative)


def same(graph: Graph, link: Link) -> Link:
    """No further node."""
    return link


@dataclass(frozen=True)
class Flow:
    """Everything but the control: models, conds, sampler, and nodes before and behind the control."""

    family: Family
    sampling: Sampling = field(default_factory=Sampling)
    sampler: Sampler = ksampler
    before: ModelNodes = same
    after: ModelNodes = same
    positive: ModelNodes = same
    negative: ModelNodes = same
    watched: bool = False  # whether to look, at the end of the run, at what lives in ComfyUI

    def run(self, comfy: Host, name: str, *controls: Control) -> Result:
        """Runs it with these controls, one behind the other."""
        graph = Graph()
        wired: Wired = (
            self.before(graph, self.family.model(graph)),
            self.positive(graph, self.family.cond(graph, 1)),
            self.negative(graph, self.family.cond(graph, 2)),
        )
        for control in controls:
            wired = WIRINGS[control.kind](graph, control, wired)
        model, positive, negative = wired
        counted = graph.add("ProbeCount", model=self.after(graph, model), name=name)
        latents = self.sampler(graph, counted, positive, negative, self.sampling)
        if self.watched:
            graph.add("ProbeMemory", name=name, after=latents)
        comfy.run(save(graph, latents, name))
        return comfy.saved(name)


def effect_share(plain: Result, expected: Result, found: Result) -> float:
    """Returns max |found - expected| as a share of the control's own effect, max |expected - plain|."""
    effect = (expected.samples - plain.samples).abs().max()
    if effect == 0:
        raise ValueError("the control has no effect, so nothing is compared")
    share = float((found.samples - expected.samples).abs().max() / effect)
    logger.info("difference / effect of the control: %.1e", share)
    return share
