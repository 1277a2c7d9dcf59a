"""A guider with a model of its own for the negative: ours acts in the model that it is on, or says that it cannot."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from flows import WIRINGS, Control, Flow, effect_share, ksampler
from graphs import Graph, Link, Sampling, output
from host import Failed, Host
from hosts import sampled_with
from weights import SD15, family

GUIDER = "DualModelGuider"
SHAPE = family(SD15)
#: (graph, the model at hand) -> the guider's models.
Models = Callable[[Graph, Link], tuple[Link, Link]]


def guided_by(models: Models) -> Flow:
    """Returns a flow that samples with these models."""

    def sampler(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
        main, second = models(graph, model)
        sides = {"positive": positive, "negative": negative, "cfg": how.cfg}
        guider = graph.add(GUIDER, model=main, model_negative=second, **sides)
        return sampled_with(graph, main, guider, how)

    return Flow(SHAPE, sampler=sampler)


def another(graph: Graph) -> Link:
    """Adds a second model."""
    return SHAPE.model(graph, seed=9)


ON_THE_FIRST = guided_by(lambda graph, model: (model, another(graph)))
ON_THE_SECOND = guided_by(lambda graph, model: (another(graph), model))
ONE_FOR_BOTH = guided_by(lambda graph, model: (model, model))


@pytest.fixture
def dual(comfy: Host) -> Host:
    """A ComfyUI with such a guider."""
    if GUIDER not in comfy.info:
        pytest.skip(f"this ComfyUI has no {GUIDER}")
    return comfy


@pytest.mark.parametrize("mode", ["both", "cond_only"])
def test_on_the_first_model_it_is_native_control_on_the_conds(dual: Host, mode: str) -> None:
    native = {"both": "native", "cond_only": "native_positive"}[mode]
    plain, expected = (ON_THE_FIRST.run(dual, kind, Control(kind)) for kind in ("none", native))
    found = ON_THE_FIRST.run(dual, "ours", Control(routing={"mode": mode}))
    assert effect_share(plain, expected, found) <= 1e-3


@pytest.mark.parametrize("mode", ["both", "cond_only"])
def test_on_the_prompts_it_is_native_control_in_both_models(dual: Host, mode: str) -> None:
    native = {"both": "native", "cond_only": "native_positive"}[mode]
    plain, expected = (ON_THE_FIRST.run(dual, kind, Control(kind)) for kind in ("none", native))
    found = ON_THE_FIRST.run(dual, "routed", Control("routed", routing={"mode": mode}))
    assert effect_share(plain, expected, found) <= 1e-3
    assert found.calls == plain.calls


def test_on_the_prompts_a_second_model_of_another_family_is_named(dual: Host) -> None:
    other = family(replace(SD15, context_dim=1024))
    flow = guided_by(lambda graph, model: (model, other.model(graph)))
    with pytest.raises(Failed, match=r"made for SD1\.x.* MODEL is SD2\.x"):
        flow.run(dual, "refused", Control("routed"))


@pytest.mark.parametrize("mode", ["both", "cond_only"])
def test_one_model_in_both_places_is_ordinary_guidance(dual: Host, mode: str) -> None:
    control = Control(routing={"mode": mode})
    plain, expected = Flow(SHAPE).run(dual, "plain"), Flow(SHAPE).run(dual, "expected", control)
    assert effect_share(plain, expected, ONE_FOR_BOTH.run(dual, "ours", control)) <= 1e-3


def test_leaving_out_runs_with_both_models_and_the_second_one_is_let_go_of(dual: Host) -> None:
    """What the X-ray keeps of a run belongs to the first model, which may live on."""

    def controlled(name: str, *, guided: bool) -> dict:
        graph = Graph()
        wired = SHAPE.model(graph), SHAPE.cond(graph, 1), SHAPE.cond(graph, 2)
        model, positive, negative = WIRINGS["ours"](graph, Control(), wired)
        sampler = ON_THE_FIRST.sampler if guided else ksampler
        samples = sampler(graph, model, positive, negative, Sampling(steps=2))
        if guided:
            seen = graph.add("ControlXRay", model=model, samples=samples, leave_one_out=True)
            graph.add("PreviewAny", source=output(seen, 1))
        graph.add("ProbeMemory", name=name, after=samples)
        return {"outputs": dual.run(graph.nodes), **dual.memory(name)}

    before = controlled("one model", guided=False)
    found = controlled("two models", guided=True)
    (text,) = [v["text"][0] for v in found["outputs"].values() if "text" in v]
    assert sum(line.endswith(" %") for line in text.splitlines()) == 13
    assert found["models"] == before["models"] + 1
    assert controlled("one again", guided=False)["models"] == before["models"]


def test_on_the_second_model_it_is_refused_and_the_next_run_is_right(dual: Host) -> None:
    expected = ON_THE_FIRST.run(dual, "expected", Control())
    with pytest.raises(Failed, match="would have no effect"):
        ON_THE_SECOND.run(dual, "refused", Control())
    assert torch.equal(ON_THE_FIRST.run(dual, "again", Control()).samples, expected.samples)
