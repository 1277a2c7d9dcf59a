"""What lives how long: loaded models, caches, files; over errors, interrupts and many runs."""

import os
import time

import pytest
import torch
from flows import COND_ONLY, Control, Flow, effect_share, logger
from graphs import Graph, Sampling, save
from host import Failed, Host
from hosts import node
from weights import SD15, family, random_net

import cnet_core as cn

RUNS = 50
#: What ComfyUI logs of a model that is held by more than its node.
LEAK = "memory leak"


def look(comfy: Host, name: str) -> dict:
    """Returns what lives in ComfyUI now."""
    graph = Graph()
    graph.add("ProbeMemory", name=name)
    comfy.run(graph.nodes)
    return comfy.memory(name)


def test_one_control_net_in_two_nodes_is_loaded_and_counted_once(comfy: Host) -> None:
    flow = Flow(family(SD15), watched=True)
    second = {"strength": 0.5, "hint_seed": 6}
    plain = flow.run(comfy, "plain")
    native = flow.run(comfy, "native", Control("native"), Control("native", **second))
    ours = flow.run(comfy, "ours", Control(), Control(**second))
    assert effect_share(plain, native, ours) <= 1e-3
    assert comfy.memory("ours")["loaded"].count("ControlNet") == 1


def test_nothing_of_a_run_lives_on_after_it(comfy: Host) -> None:
    Flow(family(SD15)).run(comfy, "ours", Control())
    assert look(comfy, "after")["stacks"] == 0


@pytest.mark.parametrize("kind", ["ours", "routed"])
def test_comfyui_sees_no_leak_when_the_nodes_behind_a_model_change(comfy: Host, kind: str) -> None:
    flow, before = Flow(family(SD15), Sampling(steps=2)), comfy.log.count(LEAK)
    for name in ("first", "second", "third"):
        flow.run(comfy, name, Control(kind))
        flow.run(comfy, f"{name} plain")
    assert comfy.log.count(LEAK) == before


def test_an_error_in_mid_run_leaves_nothing_and_the_next_run_is_right(comfy: Host) -> None:
    expected = Flow(family(SD15)).run(comfy, "expected", Control())
    broken = Flow(
        family(SD15), after=lambda graph, model: graph.add("ProbeBreak", model=model, call=3)
    )
    with pytest.raises(Failed, match="broken on purpose"):
        broken.run(comfy, "broken", Control())
    assert look(comfy, "after")["stacks"] == 0
    assert torch.equal(Flow(family(SD15)).run(comfy, "again", Control()).samples, expected.samples)


def test_an_interrupt_in_mid_run_leaves_nothing_and_the_next_run_is_right(comfy: Host) -> None:
    flow = Flow(family(SD15))
    expected = flow.run(comfy, "expected", Control())
    graph = Graph()
    slow = graph.add("ProbeSlow", model=flow.family.model(graph), seconds=0.4)
    net = graph.add("LoadControlNet", control_net_name="sd15.safetensors")
    hint = Control().picture(graph)
    patched = graph.add(
        "ApplyControlNet", model=slow, control_net=net, image=hint, **Control().numbers
    )
    conds = [flow.family.cond(graph, seed) for seed in (1, 2)]
    prompt = comfy.queue(save(graph, Sampling(steps=30).ksampler(graph, patched, *conds), "slow"))
    time.sleep(3)
    comfy.post("/interrupt", {})
    with pytest.raises(Failed, match="interrupted"):
        comfy.wait(prompt)
    assert look(comfy, "after")["stacks"] == 0
    assert torch.equal(flow.run(comfy, "again", Control()).samples, expected.samples)


def test_one_model_in_two_samplers_gives_what_two_models_give(comfy: Host) -> None:
    flows = [
        Flow(family(SD15), Sampling(seed=seed, side=side)) for seed, side in ((7, 64), (8, 96))
    ]
    control = Control(routing=COND_ONLY, hint_side=64)
    expected = [flow.run(comfy, f"one {i}", control) for i, flow in enumerate(flows)]
    graph = Graph()
    family_ = flows[0].family
    net = graph.add("LoadControlNet", control_net_name=control.file)
    routing = graph.add(
        "CFGHintRouting", mode="cond_only", cond_weight=1.0, uncond_weight=0.5, target_gain=2.0
    )
    model = graph.add(
        "ApplyControlNet",
        model=family_.model(graph),
        control_net=net,
        image=control.picture(graph),
        routing=routing,
        **control.numbers,
    )
    conds = [family_.cond(graph, seed) for seed in (1, 2)]
    for index, flow in enumerate(flows):
        save(graph, flow.sampling.ksampler(graph, model, *conds), f"both {index}")
    comfy.run(graph.nodes)
    for index in range(2):
        assert torch.equal(comfy.saved(f"both {index}").samples, expected[index].samples)


def test_a_changed_file_is_seen(comfy: Host) -> None:
    path = comfy.base / "models/controlnet/changing.safetensors"
    results = []
    for seed in (11, 12):
        cn.save_controlnet(random_net(SD15, seed), path)
        os.utime(path, (1_000_000_000 + seed, 1_000_000_000 + seed))
        flow = Flow(family(SD15), Sampling(steps=2))
        results.append(flow.run(comfy, "changing", Control(file="changing.safetensors")))
    assert not torch.equal(results[0].samples, results[1].samples)


def test_many_runs_do_not_grow_the_memory(comfy: Host) -> None:
    seen = []
    for index in range(RUNS):
        watched = index in (9, RUNS - 1)
        flow = Flow(family(SD15), Sampling(steps=2, seed=index), watched=watched)
        flow.run(comfy, "many", Control(hint_seed=index, window=(0.0, 0.9)))
        if watched:
            seen.append(comfy.memory("many"))
    grown = os.sysconf("SC_PAGE_SIZE") * (int(seen[1]["rss"]) - int(seen[0]["rss"]))
    tensors, loaded = ([report[key] for report in seen] for key in ("tensors", "loaded"))
    logger.info("run 10 to %d: %.1f MB, tensors %s, loaded %s", RUNS, grown / 1e6, tensors, loaded)
    assert tensors[1] <= tensors[0] + 5
    # Fewer is no growth: newer versions free models if memory is short.
    assert len(loaded[1]) <= len(loaded[0])
    assert grown < 30e6


@pytest.mark.parametrize("state", ["NO_VRAM", "LOW_VRAM"])
@pytest.mark.parametrize("kind", ["ours", "routed"])
def test_with_little_memory_weights_are_streamed_and_the_result_is_the_same(
    comfy: Host, kind: str, state: str
) -> None:
    flow = Flow(family(SD15), after=node("ProbeLowMemory", name="scarce", state=state))
    plain = Flow(family(SD15)).run(comfy, "plain")
    expected = Flow(family(SD15)).run(comfy, "enough", Control())
    found = flow.run(comfy, "little", Control(kind))
    loaded, size = comfy.memory("scarce")["loaded"]["ControlNet"]
    assert loaded < 0.05 * size
    assert effect_share(plain, expected, found) <= 1e-3


@pytest.mark.parametrize("kinds", [("ours", "ours"), ("routed", "routed"), ("ours", "routed")])
def test_the_memory_estimate_counts_the_residuals_of_a_net_once(
    comfy: Host, kinds: tuple[str, str]
) -> None:
    scarce = node("ProbeLowMemory", name="estimate", state="NO_VRAM")
    asked = []
    first, second = Control(kinds[0]), Control(kinds[1], strength=0.5)
    for controls in ((), (first,), (first, second)):
        Flow(family(SD15), after=scarce).run(comfy, "estimate", *controls)
        asked.append(comfy.memory("estimate")["required"][0])
    shapes = SD15.block_shapes(8, 8)
    residuals = 2 * 4 * sum(c * h * w for c, h, w in shapes)  # two rows of float32
    assert asked[1] - asked[0] >= residuals
    assert asked[2] == asked[1]
