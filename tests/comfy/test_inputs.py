"""What the inputs of ApplyControlNet do: mask, fit, scales, control type."""

import pytest
import torch
from flows import COND_ONLY, Control, Flow, effect_share
from graphs import Graph, Sampling
from host import Failed, Host
from weights import SD15, SDXL, family

FLOW = Flow(family(SD15), Sampling(steps=3))


@pytest.mark.parametrize("kind", ["openpose", "depth"])
def test_a_unions_control_type_counts(comfy: Host, kind: str) -> None:
    flow = Flow(family(SDXL), Sampling(steps=2))
    plain = flow.run(comfy, "plain")
    auto = flow.run(comfy, "auto", Control(file="union.safetensors"))
    typed = flow.run(comfy, kind, Control(file="union.safetensors", inputs={"control_type": kind}))
    assert effect_share(plain, auto, typed) > 0.01


@pytest.mark.parametrize(
    ("file", "kind", "words"),
    [("sdxl.safetensors", "depth", "one type"), ("union.safetensors", "tile", "knows")],
    ids=["no union", "not trained"],
)
def test_a_type_that_the_net_does_not_know_is_refused(
    comfy: Host, file: str, kind: str, words: str
) -> None:
    with pytest.raises(Failed, match=words):
        Flow(family(SDXL)).run(comfy, "x", Control(file=file, inputs={"control_type": kind}))


def test_a_mask_of_ones_changes_nothing_and_one_of_zeros_takes_all(comfy: Host) -> None:
    plain, full = FLOW.run(comfy, "plain"), FLOW.run(comfy, "full", Control())
    ones = FLOW.run(comfy, "ones", masked(1.0))
    zeros = FLOW.run(comfy, "zeros", masked(0.0))
    assert torch.equal(ones.samples, full.samples)
    assert torch.equal(zeros.samples, plain.samples)


def test_a_mask_of_a_half_is_half_the_strength(comfy: Host) -> None:
    plain = FLOW.run(comfy, "plain")
    half = FLOW.run(comfy, "strength", Control(strength=0.5))
    assert effect_share(plain, half, FLOW.run(comfy, "half", masked(0.5))) <= 1e-4


def test_custom_scales_of_soft_are_soft(comfy: Host) -> None:
    plain = FLOW.run(comfy, "plain")
    numbers = ", ".join(f"{0.825 ** (12 - i):.10f}" for i in range(13))
    soft = FLOW.run(comfy, "soft", Control(routing=COND_ONLY, scales={"profile": "soft"}))
    custom = {"profile": "custom", "custom_scales": numbers}
    found = FLOW.run(comfy, "custom", Control(routing=COND_ONLY, scales=custom))
    assert effect_share(plain, soft, found) <= 1e-4


def test_which_hint_it_is_matters_to_these_nets(comfy: Host) -> None:
    plain = FLOW.run(comfy, "plain")
    one = FLOW.run(comfy, "one", Control(hint_seed=5))
    assert effect_share(plain, one, FLOW.run(comfy, "other", Control(hint_seed=6))) > 0.05


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_other_fits_differ_from_crop_where_the_proportions_do(comfy: Host, fit: str) -> None:
    plain = FLOW.run(comfy, "plain")
    crop = FLOW.run(comfy, "crop", Wide())
    assert effect_share(plain, crop, FLOW.run(comfy, fit, Wide(inputs={"hint_fit": fit}))) > 0.01


class Wide(Control):
    """A control whose hint is twice as wide as high."""

    def picture(self, graph: Graph) -> list:
        return graph.add("ProbePicture", width=128, height=64, count=1, seed=5)


def masked(value: float) -> Control:
    """Returns a control with a mask of this value everywhere."""
    return Control(mask=value)


def test_reuse_saves_runs_of_the_net_and_hardly_changes_the_picture(comfy: Host) -> None:
    many = Flow(family(SD15), Sampling(steps=12))
    plain = many.run(comfy, "no control")
    found = {
        tolerance: many.run(
            comfy,
            f"reuse {tolerance}",
            Control(inputs={"reuse_tolerance": tolerance}, count_as=f"runs {tolerance}"),
        )
        for tolerance in (0.0, 0.001, 0.3)
    }
    runs = {tolerance: len(r.counts[f"runs {tolerance}"]) for tolerance, r in found.items()}
    assert runs[0.0] == runs[0.001] == 12
    assert runs[0.3] <= 8
    assert effect_share(plain, found[0.0], found[0.001]) == 0
    assert 0 < effect_share(plain, found[0.0], found[0.3]) < 0.5
