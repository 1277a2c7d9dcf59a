"""Pairs that do not fit are named, both of them."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

Part = Callable[[str], ModuleType]


def model(context_dim: int, outputs: int) -> SimpleNamespace:
    """A MODEL of ComfyUI's, as far as it is asked."""
    unet = SimpleNamespace(input_blocks=[], middle_block=[], output_blocks=[None] * outputs)
    config = SimpleNamespace(unet_config={"context_dim": context_dim})
    return SimpleNamespace(model=SimpleNamespace(diffusion_model=unet, model_config=config))


@pytest.mark.parametrize(
    ("preset", "width", "outputs", "words"),
    [
        ("SDXL", 768, 12, ("SDXL", "SD1.x")),
        ("SD15", 2048, 9, ("SD1.x", "SDXL")),
        ("SD21", 768, 12, ("SD2.x", "SD1.x")),
        ("SD15", 4096, 12, ("SD1.x", "an unknown family")),
    ],
)
def test_a_pair_of_two_families_is_refused(
    part: Part, preset: str, width: int, outputs: int, words: tuple[str, str]
) -> None:
    source = SimpleNamespace(config=getattr(part("cnet_core"), preset))
    with pytest.raises(ValueError, match="made for") as caught:
        part("nodes.comfyui.families").check_pair(model(width, outputs), source)
    assert all(word in str(caught.value) for word in words)


def test_a_pair_of_one_family_passes(part: Part) -> None:
    source = SimpleNamespace(config=part("cnet_core").SD15)
    part("nodes.comfyui.families").check_pair(model(768, 12), source)


def test_ids_that_another_pack_holds_are_said_once(
    part: Part, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = SimpleNamespace(NODE_CLASS_MAPPINGS={"ApplyControlNet": object})
    monkeypatch.setitem(sys.modules, "nodes", host)
    part("nodes.comfyui.registry").warn_of_taken_ids(["ApplyControlNet", "LoadControlNet"])
    assert len(caplog.records) == 1
    assert "ApplyControlNet" in caplog.text
    assert "LoadControlNet" not in caplog.text
