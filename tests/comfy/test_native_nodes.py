"""Core nodes that take or return a CONTROL_NET, with ours: as with ComfyUI's own Apply node, or a clear error."""

from collections.abc import Callable

import pytest
import torch
from core_nodes import control_net_appliers
from described import defaults
from flows import Control, effect_share
from graphs import Family, Graph, Link, Sampling, output, save
from host import Failed, Host, Result
from hosts import without_attention
from weights import SD15, SDXL, family

TOLERANCE = 1e-3
#: Adds nodes to a graph of a model and two conds; returns all three.
Nodes = Callable[[Graph, Link, Link, Link], tuple[Link, Link, Link]]


def run(comfy: Host, shape: Family, nodes: Nodes) -> Result:
    """Returns the latents with these nodes between loaders and sampler."""
    graph = Graph()
    wired = nodes(graph, shape.model(graph), shape.cond(graph, 1), shape.cond(graph, 2))
    comfy.run(save(graph, Sampling().ksampler(graph, *wired), "native nodes"))
    return comfy.saved("native nodes")


def ours(graph: Graph, net: Link, model: Link, conds: tuple[Link, Link]) -> tuple[Link, Link, Link]:
    """Adds our Apply node."""
    inputs = {"control_net": net, "image": Control().picture(graph), **Control().numbers}
    return graph.add("ApplyControlNet", model=model, **inputs), *conds


def native(
    graph: Graph, net: Link, model: Link, conds: tuple[Link, Link]
) -> tuple[Link, Link, Link]:
    """Adds ComfyUI's."""
    inputs = {"control_net": net, "image": Control().picture(graph), **Control().numbers}
    both = graph.add("ControlNetApplyAdvanced", positive=conds[0], negative=conds[1], **inputs)
    return model, both, output(both, 1)


def nothing(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
    """No control."""
    return model, *conds


@pytest.mark.parametrize("kind", ["auto", "openpose", "depth"])
def test_a_union_type_set_by_comfyuis_node_counts(comfy: Host, kind: str) -> None:
    def with_type(apply: Callable) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            net = graph.add("ControlNetLoader", control_net_name="union.safetensors")
            typed = graph.add("SetUnionControlNetType", control_net=net, type=kind)
            return apply(graph, typed, model, conds)

        return nodes

    shape = family(SDXL)
    plain, expected, found = (
        run(comfy, shape, nodes) for nodes in (nothing, with_type(native), with_type(ours))
    )
    assert effect_share(plain, expected, found) <= TOLERANCE


def test_a_union_type_set_by_comfyuis_node_on_ours_counts_on_the_prompts(comfy: Host) -> None:
    def union(type_: str, apply: Callable, **inputs: str) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            net = graph.add("LoadControlNet", control_net_name="union.safetensors")
            if type_:
                net = graph.add("SetUnionControlNetType", control_net=net, type=type_)
            net = graph.add("RouteControlNet", control_net=net, **inputs) if inputs else net
            return apply(graph, net, model, conds)

        return nodes

    shape = family(SDXL)
    other, expected, found = (
        run(comfy, shape, nodes)
        for nodes in (
            union("openpose", native),
            union("", native, control_type="depth"),
            union("depth", native),
        )
    )
    assert torch.equal(found.samples, expected.samples)
    assert not torch.equal(found.samples, other.samples)


def test_a_net_of_the_loader_for_differences_counts(comfy: Host) -> None:
    """The file holds no differences; the node loads any."""

    def loaded(kind: str, apply: Callable) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            further = {"model": model} if kind == "DiffControlNetLoader" else {}
            net = graph.add(kind, control_net_name="sd15.safetensors", **further)
            return apply(graph, net, model, conds)

        return nodes

    shape = family(SD15)
    plain, expected = (
        run(comfy, shape, nodes) for nodes in (nothing, loaded("ControlNetLoader", native))
    )
    found = run(comfy, shape, loaded("DiffControlNetLoader", ours))
    assert effect_share(plain, expected, found) <= TOLERANCE


def test_a_net_without_attention_counts(comfy: Host) -> None:
    """As the small ControlNets for SDXL are, which ComfyUI loads from diffusers' files."""

    def small(apply: Callable) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            return apply(graph, without_attention(graph, family(SDXL)), model, conds)

        return nodes

    plain, expected, found = (
        run(comfy, family(SDXL), nodes) for nodes in (nothing, small(native), small(ours))
    )
    assert effect_share(plain, expected, found) <= TOLERANCE


def test_a_compiled_net_counts(comfy: Host) -> None:
    """Ours runs the blocks of the module that was compiled; nothing here is compiled, as ours never calls it."""

    def loaded(compiled: bool, apply: Callable) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            net = graph.add("ControlNetLoader", control_net_name="sd15.safetensors")
            net = graph.add("ProbeCompiledNet", control_net=net) if compiled else net
            return apply(graph, net, model, conds)

        return nodes

    shape = family(SD15)
    plain, expected = (run(comfy, shape, nodes) for nodes in (nothing, loaded(False, native)))
    found = run(comfy, shape, loaded(True, ours))
    assert effect_share(plain, expected, found) <= TOLERANCE


def test_every_node_that_puts_control_on_the_conds_adds_up_with_ours(comfy: Host) -> None:
    kinds = control_net_appliers(comfy.info)
    assert "ControlNetApply" in kinds
    for kind in kinds:
        assert _beside(comfy, kind) <= TOLERANCE, kind


def _beside(comfy: Host, kind: str) -> float:
    """Returns how far a control on the conds with ours behind it is from both on the conds."""

    def and_then(apply: Callable | None) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            first = graph.add("ControlNetLoader", control_net_name="sd15.safetensors")
            found = _applied(comfy, graph, kind, first, conds)
            net = graph.add("ControlNetLoader", control_net_name="sd15_other.safetensors")
            return (model, *found) if apply is None else apply(graph, net, model, found)

        return nodes

    results = [run(comfy, family(SD15), and_then(apply)) for apply in (None, native, ours)]
    return effect_share(*results)


def _applied(
    comfy: Host, graph: Graph, kind: str, net: Link, conds: tuple[Link, Link]
) -> tuple[Link, Link]:
    """Adds a core node that puts a ControlNet on both conds, or one such node for each."""
    wanted = comfy.info[kind]["input"]["required"]
    given = {
        "positive": conds[0],
        "negative": conds[1],
        "control_net": net,
        "vae": output(graph.add("LoadTinyStableDiffusion"), 2),
        "image": Control(hint_seed=6).picture(graph),
        "mask": graph.add("SolidMask", value=0.5, width=64, height=64),
    }
    links = {name: link for name, link in given.items() if name in wanted}
    links.update(defaults(comfy.info, kind))
    if "conditioning" in wanted:
        return tuple(graph.add(kind, conditioning=cond, **links) for cond in conds)
    both = graph.add(kind, **links)
    return both, output(both, 1)


def test_our_loaders_output_is_native_control_in_every_core_node_that_applies_one(
    comfy: Host,
) -> None:
    def loaded(kind: str, loader: str) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            net = graph.add(loader, control_net_name="sd15.safetensors")
            return model, *_applied(comfy, graph, kind, net, conds)

        return nodes

    plain = run(comfy, family(SD15), nothing)
    for kind in control_net_appliers(comfy.info):
        expected = run(comfy, family(SD15), loaded(kind, "ControlNetLoader"))
        found = run(comfy, family(SD15), loaded(kind, "LoadControlNet"))
        assert effect_share(plain, expected, found) <= TOLERANCE, kind


def test_a_net_of_one_type_takes_any_type_of_comfyuis_node(comfy: Host) -> None:
    """As ComfyUI's own does."""

    def typed(loader: str, apply: Callable) -> Nodes:
        def nodes(graph: Graph, model: Link, *conds: Link) -> tuple[Link, Link, Link]:
            net = graph.add(loader, control_net_name="sdxl.safetensors")
            net = graph.add("SetUnionControlNetType", control_net=net, type="depth")
            return apply(graph, net, model, conds)

        return nodes

    shape = family(SDXL)
    plain, expected = (run(comfy, shape, n) for n in (nothing, typed("ControlNetLoader", native)))
    for apply in (native, ours):
        found = run(comfy, shape, typed("LoadControlNet", apply))
        assert effect_share(plain, expected, found) <= TOLERANCE


def test_saving_a_net_of_comfyuis_loader_says_how_to_save_it(comfy: Host) -> None:
    graph = Graph()
    net = graph.add("ControlNetLoader", control_net_name="sd15.safetensors")
    graph.add("SaveControlNet", control_net=net, filename_prefix="controlnet/x", layout="ldm")
    with pytest.raises(Failed, match="load the file with Load ControlNet"):
        comfy.run(graph.nodes)
