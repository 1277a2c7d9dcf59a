"""A run that ComfyUI spreads over several devices: cond and uncond in threads, each with models of its own."""

from collections.abc import Iterator

import pytest
import torch
from adapters import Adapter, OfAnotherPack
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Graph, Link, Sampling
from host import TWO_DEVICES, Failed, Host
from hosts import node
from tiny_graph import SIDE, picture_graph
from weights import SD15, SDXL, WIDENING, family, write_models

from cnet_core import UNetConfig

SPLIT = "MultiGPU_WorkUnits"
TOLERANCE = 1e-3
WHOLE = Flow(family(SD15))
SPLITS = {
    "split before": Flow(family(SD15), before=node(SPLIT, max_gpus=2)),
    "split behind": Flow(family(SD15), after=node(SPLIT, max_gpus=2)),
}


@pytest.fixture(scope="module")
def split(comfy: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The same ComfyUI, which takes the CPU for two devices."""
    if SPLIT not in comfy.info:
        pytest.skip(f"this ComfyUI has no {SPLIT}")
    base = tmp_path_factory.mktemp("two_devices")
    write_models(base / "models")
    host = Host(comfy.place, base, packs=[TWO_DEVICES])
    yield host
    host.stop()


def test_without_control_the_split_gives_the_same_in_calls_of_one_row(split: Host) -> None:
    whole, halves = WHOLE.run(split, "whole"), SPLITS["split behind"].run(split, "halves")
    assert sorted(halves.calls[:2]) == [[0], [1]]
    difference = (whole.samples - halves.samples).abs().max()
    assert difference <= 1e-5 * whole.samples.abs().max()


@pytest.mark.parametrize("place", SPLITS)
@pytest.mark.parametrize("mode", ["both", "cond_only", "target_gain"])
@pytest.mark.parametrize("kind", ["ours", "routed"])
def test_control_is_that_of_the_whole_run(split: Host, kind: str, place: str, mode: str) -> None:
    control = Control(kind, routing={"mode": mode})
    plain, expected = WHOLE.run(split, "plain"), WHOLE.run(split, "expected", control)
    found = SPLITS[place].run(split, "found", control)
    assert effect_share(plain, expected, found) <= TOLERANCE
    assert {len(call) for call in found.calls} == {1}


@pytest.mark.parametrize("kind", ["ours_from_native_loader", "ours", "routed"])
def test_two_controls_of_any_loader_are_those_of_the_whole_run(split: Host, kind: str) -> None:
    controls = Control(kind), Control(file="sd15_other.safetensors", strength=0.6, hint_seed=6)
    plain, expected = WHOLE.run(split, "plain"), WHOLE.run(split, "expected", *controls)
    found = SPLITS["split behind"].run(split, "found", *controls)
    assert effect_share(plain, expected, found) <= TOLERANCE


@pytest.mark.parametrize("kind", ["ours", "routed"])
def test_with_cond_only_one_device_alone_runs_the_control_net(split: Host, kind: str) -> None:
    control = Control(kind, routing=COND_ONLY, count_as=f"split {kind}")
    calls = SPLITS["split behind"].run(split, "rows", control).calls
    assert split.saved("rows").counts[control.count_as] == [1] * (len(calls) // 2)


@pytest.mark.parametrize("mode", ["both", "cond_only"])
@pytest.mark.parametrize(
    ("kind", "model"), [(Adapter, WIDENING), (OfAnotherPack, SDXL)], ids=["T2I-Adapter", "subclass"]
)
def test_other_packs_nets_and_adapters_are_those_of_the_whole_run(
    split: Host, kind: type[Control], model: UNetConfig, mode: str
) -> None:
    whole = Flow(family(model))
    halves = Flow(family(model), after=node(SPLIT, max_gpus=2))
    control = kind("ours_from_native_loader", routing={"mode": mode})
    plain, expected = whole.run(split, "plain"), whole.run(split, "expected", control)
    found = halves.run(split, "found", control)
    assert effect_share(plain, expected, found) <= TOLERANCE
    assert {len(call) for call in found.calls} == {1}


@pytest.mark.parametrize("kind", ["ours", "routed"])
def test_an_error_on_one_device_ends_the_run_and_the_next_is_right(split: Host, kind: str) -> None:
    flow, control = SPLITS["split behind"], Control(kind)
    expected = flow.run(split, "expected", control)
    broken = Flow(family(SD15), after=lambda graph, model: _broken(graph, flow.after(graph, model)))
    with pytest.raises(Failed, match="broken on purpose"):
        broken.run(split, "broken", control)
    assert torch.equal(flow.run(split, "again", control).samples, expected.samples)


def test_the_embedded_model_is_split_too(split: Host) -> None:
    how = Sampling(steps=3, cfg=7.5, side=SIDE)
    split.run(picture_graph({}, how))
    whole = split.saved("tiny").samples
    split.run(picture_graph({}, how, after=SPLITS["split behind"].after))
    torch.testing.assert_close(split.saved("tiny").samples, whole, atol=1e-4, rtol=1e-4)


def _broken(graph: Graph, model: Link) -> Link:
    return graph.add("ProbeBreak", model=model, call=3)
