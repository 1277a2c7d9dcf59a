"""glance(): families from headers alone, as identify() says, for a folder of hundreds in seconds."""

import time
from pathlib import Path

import pytest
import torch
from files import read_published, write_hollow_file
from known_files import FOREIGN, PUBLISHED

import cnet_core as cn
from cnet_core.checkpoints.glance import MODEL, Glance, glance, glance_at_model

SD1 = Glance(MODEL, "SD1.x", 768, 13)
SD2 = Glance(MODEL, "SD2.x", 1024, 13)
SDXL = Glance(MODEL, "SDXL", 2048, 10)
#: Start of a published file's name -> the model that it fits.
FITS = {"sd15": SD1, "sd21": SD2, "sdxl": SDXL, "cont": SDXL}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_have_the_family_that_identify_says(tmp_path: Path, name: str) -> None:
    found = glance(write_hollow_file(tmp_path / "x.safetensors", read_published(name)))
    assert (found.what, found.family) == ("a ControlNet", PUBLISHED[name][1])
    assert found.needs_base == (name == "sd15_difference" or name.startswith("control_lora"))
    assert [model for model in (SD1, SD2, SDXL) if found.fits(model)] == [FITS[name[:4]]]
    assert found.fits(Glance("a Flux model")) is False
    assert found.fits(Glance("a file of an unknown kind")) is None


@pytest.mark.parametrize("what", FOREIGN)
def test_other_files_are_named_as_identify_names_them(tmp_path: Path, what: str) -> None:
    path = write_hollow_file(tmp_path / "x.safetensors", {key: [4, 4] for key in FOREIGN[what]})
    found = glance(path)
    assert found == Glance(cn.identify(path).what)
    assert found.fits(SD1) is False


def test_a_damaged_control_net_has_no_family_and_what_is_no_checkpoint_is_named(
    tmp_path: Path,
) -> None:
    shapes = read_published("sd15_v11")
    del shapes["control_model.input_blocks.0.0.weight"]
    found = glance(write_hollow_file(tmp_path / "x.safetensors", shapes))
    assert (found, found.fits(SD1)) == (Glance("a ControlNet"), None)
    page = tmp_path / "page.safetensors"
    page.write_text("<html>")
    assert glance(page) == glance_at_model(page) == Glance("an HTML page")


@pytest.mark.parametrize(
    ("config", "prefix", "expected"),
    [
        (cn.SD15, "model.diffusion_model.", SD1),
        (cn.SD21, "", SD2),
        (cn.SDXL, "model.diffusion_model.", SDXL),
    ],
    ids=["SD1.x checkpoint", "SD2.x UNet alone", "SDXL checkpoint"],
)
def test_base_models_have_their_family(
    tmp_path: Path, config: cn.UNetConfig, prefix: str, expected: Glance
) -> None:
    with torch.device("meta"):
        keys = cn.UNet(config).state_dict()
    shapes = {prefix + key: list(value.shape) for key, value in keys.items()}
    assert glance_at_model(write_hollow_file(tmp_path / "x.safetensors", shapes)) == expected


def test_other_models_are_named(tmp_path: Path) -> None:
    path = write_hollow_file(tmp_path / "x.safetensors", {"double_blocks.0.x.weight": [4, 4]})
    assert glance_at_model(path) == Glance("a Flux model")


def test_two_hundred_files_take_at_most_two_seconds_of_one_core(tmp_path: Path) -> None:
    """Every format of tests/keys and every other kind, each with keys of its own."""
    tables = [read_published(name) for name in PUBLISHED]
    tables += [{key: [4, 4] for key in keys} for keys in FOREIGN.values()]
    paths = [
        write_hollow_file(
            tmp_path / f"{number}.safetensors",
            {**tables[number % len(tables)], f"mark.{number}": [number + 1]},
        )
        for number in range(200)
    ]
    begun = time.process_time()
    found = [glance(path) for path in paths]
    took = time.process_time() - begun
    known = [PUBLISHED[name][1] for name in PUBLISHED]
    assert [one.family for one in found[: len(known)]] == known
    assert took <= 2.0
