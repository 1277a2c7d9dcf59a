"""What cannot work says so, at the node or at the first step: control is never lost without a word."""

import json

import pytest
from flows import Control, Flow
from graphs import Graph, Link
from host import Failed, Host
from hosts import without_attention
from weights import SD15, SDXL, family

from cnet_core import UNetConfig


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
    assert "use one that is made for your model" in message


def test_something_else_on_the_socket_is_refused_by_name(comfy: Host) -> None:
    class Adapter(Control):
        def net(self, graph: Graph, loader: str) -> Link:
            return graph.add("ProbeNoNet")

    assert "which is no ControlNet" in refused(comfy, Flow(family(SD15)), Adapter())


def test_a_control_net_that_weighs_and_times_itself_is_refused_by_name(comfy: Host) -> None:
    """Both would act: its own weights and ours."""

    class Foreign(Control):
        def net(self, graph: Graph, loader: str) -> Link:
            return without_attention(graph, family(SDXL), "Advanced")

    message = refused(comfy, Flow(family(SDXL)), Foreign())
    assert "is a Advanced of ComfyUI-Advanced-ControlNet" in message
    assert "its own Apply node" in message


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
    [
        ("1, 2, 3", "3 values"),
        ("", "one number per block"),
        ("1, x", "write numbers such as"),
        ("0:1, 0.5", "position:factor"),
        ("1:1, 0:1", "must rise"),
    ],
    ids=["too few", "none", "no number", "no point", "falling points"],
)
def test_custom_scales_that_do_not_fit_are_refused(comfy: Host, numbers: str, words: str) -> None:
    control = Control(scales={"profile": "custom", "custom_scales": numbers})
    assert words in refused(comfy, Flow(family(SD15)), control)


@pytest.mark.parametrize("loader", ["ours", "ours_from_native_loader"])
@pytest.mark.parametrize("model", [SD15, SDXL], ids=["SD1.x", "SDXL"])
def test_another_number_of_scales_is_refused_by_the_node_that_has_them(
    comfy: Host, model: UNetConfig, loader: str
) -> None:
    """Not by the sampler, where users would not look for it."""
    file = {} if model is SD15 else {"file": "sdxl.safetensors"}
    scales = {"profile": "custom", "custom_scales": "1 2 3"}
    with pytest.raises(Failed) as caught:
        Flow(family(model)).run(comfy, "refused", Control(loader, scales=scales, **file))
    assert caught.value.node == "ApplyControlNet"
    assert f"has {13 if model is SD15 else 10} blocks" in str(caught.value)


def test_a_type_for_a_plain_control_net_is_refused_in_the_widgets_words(comfy: Host) -> None:
    message = refused(comfy, Flow(family(SD15)), Control(inputs={"control_type": "depth"}))
    assert "`control_type` is for Union ControlNets" in message
    assert "Set it to auto" in message


def test_a_broken_file_is_named_as_the_widget_names_it(comfy: Host) -> None:
    broken = comfy.base / "models" / "controlnet" / "below" / "broken.safetensors"
    broken.parent.mkdir()
    broken.write_bytes(b"x" * 100)
    graph = {"1": {"class_type": "IdentifyControlNet", "inputs": {}}}
    graph["1"]["inputs"]["control_net_name"] = "below/broken.safetensors"
    try:
        said = json.dumps(comfy.run(graph)["1"]["text"])
    except Failed as error:
        said = str(error)
    finally:
        broken.unlink()
    assert "below/broken.safetensors" in said
    assert str(comfy.base) not in said


def test_rows_that_cannot_be_told_apart_are_refused(comfy: Host) -> None:
    flow = Flow(family(SD15), after=lambda graph, model: graph.add("ProbeOddRows", model=model))
    assert "cannot match the rows to them" in refused(comfy, flow, Control())


def test_a_sampler_that_passes_by_the_wrappers_is_refused(comfy: Host) -> None:
    def without_wrappers(graph: Graph, model: list) -> list:
        return graph.add("ProbeNoWrappers", model=model)

    flow = Flow(family(SD15), after=without_wrappers)
    assert "no effect" in refused(comfy, flow, Control())
