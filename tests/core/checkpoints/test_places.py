"""Folders and files as diffusers, accelerate, torch and Hugging Face's cache leave them."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from fakes import SMALL, small_net, small_unet
from files import equal_weights
from safetensors.torch import load_file, save_file
from torch import Tensor

import cnet_core as cn
from cnet_core.cli import main

NAME = "diffusion_pytorch_model"
Weights = dict[str, Tensor]


def diffusers_folder(folder: Path) -> Weights:
    """A folder as diffusers writes it; returns its weights."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    cn.save_controlnet(small_net(), folder, layout="diffusers")
    return load_file(folder / f"{NAME}.safetensors")


def sharded(folder: Path, name: str = NAME, suffix: str = "safetensors", variant: str = "") -> Path:
    """The same in three files and their index; returns the index."""
    weights = diffusers_folder(folder)
    (folder / f"{NAME}.safetensors").unlink()
    places: dict[str, str] = {}
    dot = f".{variant}" if variant else ""
    for part in range(3):
        file = f"{name}-0000{part + 1}-of-00003{dot}.{suffix}"
        mine = {key: weights[key] for key in list(weights)[part::3]}
        places |= dict.fromkeys(mine, file)
        save_file(mine, folder / file) if suffix == "safetensors" else torch.save(
            mine, folder / file
        )
    index = folder / f"{name}.{suffix}.index{dot}.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return index


def loads(path: Path) -> None:
    """Both the library and the command line read it."""
    assert equal_weights(cn.load_controlnet(path).state_dict(), small_net().state_dict())
    found = cn.identify(path)
    assert found.loads, found
    assert found.family is not None
    assert main(["identify", str(path)]) == 0


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("variant", ["", "fp16"])
def test_a_sharded_folder_loads(tmp_path: Path, suffix: str, variant: str) -> None:
    index = sharded(tmp_path / "net", suffix=suffix, variant=variant)
    loads(tmp_path / "net")
    loads(index)
    assert cn.identify(tmp_path / "net").size > sum(
        v.nbytes for v in small_net().state_dict().values()
    )


def renamed(name: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        diffusers_folder(folder)
        (folder / f"{NAME}.safetensors").rename(folder / name)
        return folder

    return build


def pipeline(folder: Path) -> Path:
    diffusers_folder(folder / "controlnet")
    (folder / "model_index.json").write_text("{}")
    (folder / "unet").mkdir()
    return folder


def run(folder: Path) -> Path:
    diffusers_folder(folder / "checkpoint-500" / "controlnet")
    return folder


def cache(folder: Path, inner: str = "") -> Path:
    """A model in Hugging Face's cache: an older snapshot without weights, blobs, and links to them."""
    snapshot = folder / "models--a--b" / "snapshots" / "0123abc" / inner
    diffusers_folder(snapshot)
    blobs = folder / "models--a--b" / "blobs"
    blobs.mkdir()
    for index, file in enumerate(list(snapshot.iterdir())):
        file.rename(blobs / str(index))
        file.symlink_to(blobs / str(index))
    (folder / "models--a--b" / "snapshots" / "older").mkdir()
    (folder / "models--a--b" / "refs").mkdir()
    (folder / "models--a--b" / "refs" / "main").write_text("0123abc")
    return folder / "models--a--b"


PLACES: dict[str, Callable[[Path], Path]] = {
    "fp16": renamed(f"{NAME}.fp16.safetensors"),
    "bf16": renamed(f"{NAME}.bf16.safetensors"),
    "another variant": renamed(f"{NAME}.non_ema.safetensors"),
    "accelerate's name": renamed("model.safetensors"),
    "accelerate's name, bf16": renamed("model.bf16.safetensors"),
    "accelerate's old name": lambda folder: _bin(renamed("model.safetensors")(folder)),
    "a pipeline": pipeline,
    "a run's checkpoint": lambda folder: run(folder) / "checkpoint-500",
    "its controlnet": lambda folder: run(folder) / "checkpoint-500" / "controlnet",
    "a run of one checkpoint": run,
    "a model in the cache": cache,
    "a snapshot": lambda folder: cache(folder) / "snapshots" / "0123abc",
    "a pipeline in the cache": lambda folder: cache(folder, "controlnet"),
    "a cache of one model": lambda folder: cache(folder).parent,
}


def _bin(folder: Path) -> Path:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found(tmp_path: Path, place: str) -> None:
    loads(PLACES[place](tmp_path / "net"))


def test_the_whole_weights_come_before_variants(tmp_path: Path) -> None:
    diffusers_folder(tmp_path)
    for variant in ("fp16", "bf16", "ema"):
        (tmp_path / f"{NAME}.{variant}.safetensors").write_bytes(b"")
    loads(tmp_path)


def test_a_folders_own_weights_come_before_a_subfolders(tmp_path: Path) -> None:
    diffusers_folder(tmp_path)
    other = small_net()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    cn.save_controlnet(other, tmp_path / "controlnet", layout="diffusers")
    loads(tmp_path)
    assert cn.identify(tmp_path).path == str(tmp_path / f"{NAME}.safetensors")


def test_a_pipelines_part_comes_before_its_own_weights(tmp_path: Path) -> None:
    pipeline(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    loads(tmp_path)


SEVERAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "two checkpoints": (
        lambda f: [diffusers_folder(f / f"checkpoint-{n}" / "controlnet") for n in (1000, 500)],
        "holds 2 checkpoints (checkpoint-500, checkpoint-1000)",
    ),
    "two ControlNets": (
        lambda f: [diffusers_folder(f / name) for name in ("controlnet", "controlnet_1")],
        "holds 2 models (controlnet, controlnet_1)",
    ),
    "two models in a cache": (
        lambda f: [diffusers_folder(f / f"models--a--{n}" / "snapshots" / "x") for n in "bc"],
        "holds 2 models (models--a--b, models--a--c)",
    ),
    "a pipeline without one": (
        lambda f: (f / "model_index.json").write_text("{}"),
        "is a diffusers pipeline without weights in a folder controlnet",
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_folders_that_could_mean_several_are_named(tmp_path: Path, case: str) -> None:
    build, words = SEVERAL[case]
    build(tmp_path)
    refused(tmp_path, words)


def refused(path: Path, words: str) -> None:
    """Both the library and identify say it in a sentence."""
    with pytest.raises(ValueError, match=r"\.$") as error:
        cn.load_controlnet(path)
    assert words in str(error.value)
    assert words in " ".join(cn.identify(path).problems)


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
    "swapped parts": (_swapped, "unlike"),
    "a key in two parts": (_repeated, "repeats 'conv_in.bias'"),
}


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("case", INDICES)
def test_an_index_is_not_trusted(tmp_path: Path, case: str) -> None:
    change, words = INDICES[case]
    save_file({"conv_in.weight": torch.ones(1)}, tmp_path / "secret.safetensors")
    change(sharded(tmp_path / "net"))
    refused(tmp_path / "net", words)


def test_one_part_alone_is_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    refused(tmp_path / f"{NAME}-00001-of-00003.safetensors", "is one of several parts")


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


QUANTISED: Mapping[str, tuple[Weights, str]] = {
    "bitsandbytes": (
        {
            "zero_convs.0.0.weight.absmax": torch.ones(2),
            "zero_convs.0.0.weight": torch.zeros(2, dtype=torch.uint8),
        },
        "quantised by bitsandbytes",
    ),
    "scaled fp8": (
        {"scaled_fp8": torch.zeros(0), "time_embed.0.scale_weight": torch.ones(1)},
        "quantised by ComfyUI (scaled fp8)",
    ),
}


@pytest.mark.parametrize("tool", QUANTISED)
def test_weights_of_a_quantiser_are_named(tmp_path: Path, tool: str) -> None:
    more, words = QUANTISED[tool]
    save_file({**small_net().state_dict(), **more}, tmp_path / "x.safetensors")
    refused(tmp_path / "x.safetensors", words)
    save_file({**small_unet().state_dict(), **more}, tmp_path / "base.safetensors")
    with pytest.raises(ValueError, match="is not loaded"):
        cn.save_controlnet(
            small_net(),
            tmp_path / "d.safetensors",
            layout="difference",
            base=tmp_path / "base.safetensors",
        )


def test_a_config_in_a_snapshot_is_read(tmp_path: Path) -> None:
    """SMALL has 4 heads, which no shape tells; its file here has none of our metadata."""
    folder = cache(tmp_path)
    file = folder / "snapshots" / "0123abc" / f"{NAME}.safetensors"
    weights = load_file(file)
    file.unlink()
    save_file(weights, file)
    assert cn.load_controlnet(folder).config == SMALL
    assert cn.load_controlnet(file).config == SMALL
    shutil.rmtree(folder)
