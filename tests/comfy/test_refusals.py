"""What cannot work says so, at the node or at the first step: control is never lost without a word."""

import pytest
from flows import Control, Flow
from graphs import Graph, Link
from host import Failed, Host
from hosts import without_attention
from weights import SD15, SDXL, family


def refused(comfy: Host, flow: Flow, *controls: Control) -> str:
    """Returns the error of a run."""
    with pytest.raises(Failed) as caught:
        flow.run(comfy, "refused", *controls)
    return str(caught.value)


@pytest.mark.parametrize("loader", ["ours", "ours_from_native_loader"])
def test_a_control_net_of_another_family_names_both(comfy: Host, loader: str) -> None:
    control = Control(loader, file="sdxl.safetensors")
    message = refused(comfy, Flow(family(SD15)), control)
    assert "SDXL" in message
    assert "SD1.x" in message
    assert "Use a ControlNet made for SD1.x" in message


def test_an_sd15_control_net_on_sdxl_is_refused(comfy: Host) -> None:
    assert "Use a ControlNet made for SDXL" in refused(comfy, Flow(family(SDXL)), Control())


@pytest.mark.parametrize("kind", ["Flux", "SD3"])
def test_a_model_without_a_unet_is_refused_by_name(comfy: Host, kind: str) -> None:
    def other(graph: Graph, model: list) -> list:
        return graph.add("ProbeNoUNet", kind=kind)

    message = refused(comfy, Flow(family(SD15), before=other), Control())
    assert f"The MODEL is a {kind}" in message
    assert "has no UNet" in message
    assert "use ComfyUI's own nodes" in message


def test_something_else_on_the_socket_is_refused_by_name(comfy: Host) -> None:
    class Adapter(Control):
        def net(self, graph: Graph, loader: str) -> Link:
            return graph.add("ProbeAdapter")

    assert "is a T2IAdapter" in refused(comfy, Flow(family(SD15)), Adapter())


def test_another_packs_kind_of_control_net_is_refused_by_name(comfy: Host) -> None:
    """It would run as a plain one, without what makes it another."""

    class Foreign(Control):
        def net(self, graph: Graph, loader: str) -> Link:
            return without_attention(graph, family(SDXL), "OfAnotherPack")

    message = refused(comfy, Flow(family(SDXL)), Foreign())
    assert "is a OfAnotherPack (ControlNet)" in message
    assert "the Apply node that goes with them" in message


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"value": "nan"}, "NaN"),
        ({"value": "inf"}, "infinite"),
        ({"width": 0}, "no pixels"),
        ({"count": 0}, "no pixels"),
    ],
    ids=["nan", "infinite", "no width", "no pictures"],
)
def test_a_hint_of_nothing_is_refused(comfy: Host, inputs: dict, words: str) -> None:
    class Broken(Control):
        def picture(self, graph: Graph) -> list:
            size = {"width": 64, "height": 64, "count": 1, "seed": 1, **inputs}
            return graph.add("ProbePicture", **size)

    assert words in refused(comfy, Flow(family(SD15)), Broken())


@pytest.mark.parametrize(
    ("numbers", "words"),
    [("1, 2, 3", "3 values"), ("", "one number per block"), ("1, x", "separated by commas")],
    ids=["too few", "none", "no number"],
)
def test_custom_scales_that_do_not_fit_are_refused(comfy: Host, numbers: str, words: str) -> None:
    control = Control(scales={"profile": "custom", "custom_scales": numbers})
    assert words in refused(comfy, Flow(family(SD15)), control)


def test_rows_that_cannot_be_told_apart_are_refused(comfy: Host) -> None:
    flow = Flow(family(SD15), after=lambda graph, model: graph.add("ProbeOddRows", model=model))
    assert "cannot be told which" in refused(comfy, flow, Control())


def test_a_sampler_that_passes_by_the_wrappers_is_refused(comfy: Host) -> None:
    def without_wrappers(graph: Graph, model: list) -> list:
        return graph.add("ProbeNoWrappers", model=model)

    flow = Flow(family(SD15), after=without_wrappers)
    assert "no effect" in refused(comfy, flow, Control())
