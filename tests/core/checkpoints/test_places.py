"""Folders and files as diffusers, accelerate, torch and Hugging Face's cache leave them."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from diffusers_folders import NAME, Weights, check_loads, check_refused, write_folder
from fakes import SMALL, small_net, small_unet
from safetensors.torch import load_file, save_file

import cnet_core as cn


def renamed(name: str) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        write_folder(folder)
        (folder / f"{NAME}.safetensors").rename(folder / name)
        return folder

    return build


def pipeline(folder: Path) -> Path:
    write_folder(folder / "controlnet")
    (folder / "model_index.json").write_text("{}")
    (folder / "unet").mkdir()
    return folder


def run(folder: Path) -> Path:
    write_folder(folder / "checkpoint-500" / "controlnet")
    return folder


def cache(folder: Path, inner: str = "") -> Path:
    """A model in Hugging Face's cache: an older snapshot without weights, blobs, and links to them."""
    snapshot = folder / "models--a--b" / "snapshots" / "0123abc" / inner
    write_folder(snapshot)
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
    check_loads(PLACES[place](tmp_path / "net"))


def test_the_whole_weights_come_before_variants(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for variant in ("fp16", "bf16", "ema"):
        (tmp_path / f"{NAME}.{variant}.safetensors").write_bytes(b"")
    check_loads(tmp_path)


def test_a_folders_own_weights_come_before_a_subfolders(tmp_path: Path) -> None:
    write_folder(tmp_path)
    other = small_net()
    with torch.no_grad():
        next(other.parameters()).add_(1)
    cn.save_controlnet(other, tmp_path / "controlnet", layout="diffusers")
    check_loads(tmp_path)
    assert cn.identify(tmp_path).path == str(tmp_path / f"{NAME}.safetensors")


def test_a_pipelines_part_comes_before_its_own_weights(tmp_path: Path) -> None:
    pipeline(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    check_loads(tmp_path)


SEVERAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "two checkpoints": (
        lambda f: [write_folder(f / f"checkpoint-{n}" / "controlnet") for n in (1000, 500)],
        "holds 2 checkpoints (checkpoint-500, checkpoint-1000)",
    ),
    "two ControlNets": (
        lambda f: [write_folder(f / name) for name in ("controlnet", "controlnet_1")],
        "holds 2 models (controlnet, controlnet_1)",
    ),
    "two models in a cache": (
        lambda f: [write_folder(f / f"models--a--{n}" / "snapshots" / "x") for n in "bc"],
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
    check_refused(tmp_path, words)


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
    check_refused(tmp_path / "x.safetensors", words)
    save_file({**small_unet().state_dict(), **more}, tmp_path / "base.safetensors")
    with pytest.raises(ValueError, match="cannot be loaded"):
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
