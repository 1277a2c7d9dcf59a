"""Checkpoints in several files and their index: what loads, and what an index may not say."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers_folders import NAME, check_loads, check_refused, write_shards
from fakes import small_net, small_unet
from safetensors.torch import load_file, save_file

import cnet_core as cn


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("variant", ["", "fp16"])
def test_a_sharded_folder_loads(tmp_path: Path, suffix: str, variant: str) -> None:
    index = write_shards(tmp_path / "net", suffix=suffix, variant=variant)
    check_loads(tmp_path / "net")
    check_loads(index)
    assert cn.identify(tmp_path / "net").size > sum(
        v.nbytes for v in small_net().state_dict().values()
    )


def _without_a_part(index: Path) -> None:
    (index.parent / f"{NAME}-00002-of-00003.safetensors").unlink()


def _with_name(name: object) -> Callable[[Path], None]:
    def change(index: Path) -> None:
        values = json.loads(index.read_text())
        values["weight_map"]["conv_in.weight"] = name
        index.write_text(json.dumps(values))

    return change


def _swapped(index: Path) -> None:
    parts = [index.parent / f"{NAME}-0000{k}-of-00003.safetensors" for k in (1, 2)]
    parts[0].rename(index.parent / "x")
    parts[1].rename(parts[0])
    (index.parent / "x").rename(parts[1])


def _repeated(index: Path) -> None:
    part = index.parent / f"{NAME}-00001-of-00003.safetensors"
    save_file({**load_file(part), "conv_in.bias": torch.zeros(32)}, part)
    other = index.parent / f"{NAME}-00002-of-00003.safetensors"
    save_file({**load_file(other), "conv_in.bias": torch.zeros(32)}, other)


INDICES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a part is missing": (_without_a_part, "lacks 'diffusion_pytorch_model-00002-of-00003"),
    "outside": (_with_name("../secret.safetensors"), "which is no file of this folder"),
    "absolute": (_with_name("/etc/passwd"), "which is no file of this folder"),
    "on Windows": (_with_name("..\\secret"), "which is no file of this folder"),
    "NUL": (_with_name("a\0b"), "which is no file of this folder"),
    "too long for a file": (_with_name("ä" * 128), "which is no file of this folder"),
    "the folder": (_with_name(".."), "which is no file of this folder"),
    "no text": (_with_name(3), "names that are not text"),
    "no JSON": (lambda index: _write(index, "{"), "is not valid JSON"),
    "deep JSON": (lambda index: _write(index, '{"a":' * 100_000), "is not valid JSON"),
    "a list": (lambda index: _write(index, "[]"), "has no `weight_map`"),
    "no map": (lambda index: _write(index, "{}"), "has no `weight_map`"),
    "too long": (lambda index: _write(index, " " * 16_000_001), "is longer than"),
    "swapped parts": (_swapped, "which contradicts"),
    "a key in two parts": (_repeated, "repeats 'conv_in.bias'"),
}


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("case", INDICES)
def test_an_index_is_not_trusted(tmp_path: Path, case: str) -> None:
    change, words = INDICES[case]
    save_file({"conv_in.weight": torch.ones(1)}, tmp_path / "secret.safetensors")
    change(write_shards(tmp_path / "net"))
    check_refused(tmp_path / "net", words)


def test_one_part_alone_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path)
    check_refused(tmp_path / f"{NAME}-00001-of-00003.safetensors", "is one of several parts")


BASES: dict[str, Callable[[Path], Path]] = {
    "unet of a pipeline": lambda folder: folder,
    "the unet": lambda folder: folder / "unet",
}


@pytest.mark.parametrize("variant", ["", "fp16"])
@pytest.mark.parametrize("place", BASES)
def test_a_sharded_base_gives_a_difference(tmp_path: Path, place: str, variant: str) -> None:
    net, unet = small_net(), small_unet()
    weights, dot = unet.state_dict(), f".{variant}" if variant else ""
    (tmp_path / "base" / "unet").mkdir(parents=True)
    places = {}
    for part in range(2):
        file = f"{NAME}-0000{part + 1}-of-00002{dot}.safetensors"
        mine = {key: weights[key] for key in list(weights)[part::2]}
        places |= dict.fromkeys(mine, file)
        save_file(mine, tmp_path / "base" / "unet" / file)
    index = tmp_path / "base" / "unet" / f"{NAME}.safetensors.index{dot}.json"
    index.write_text(json.dumps({"weight_map": places}))
    base = BASES[place](tmp_path / "base")
    cn.save_controlnet(net, tmp_path / "d.safetensors", layout="difference", base=base)
    back = cn.load_controlnet(tmp_path / "d.safetensors", base=unet)
    for key, weight in net.state_dict().items():
        torch.testing.assert_close(back.state_dict()[key], weight)
