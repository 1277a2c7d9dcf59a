"""ControlNet folders as diffusers writes them, whole or in several files, and whether they load."""

import json
from pathlib import Path

import pytest
import torch
from fakes import small_net
from files import equal_weights
from safetensors.torch import load_file, save_file
from torch import Tensor

import cnet_core as cn
from cnet_core.cli import main

NAME = "diffusion_pytorch_model"
Weights = dict[str, Tensor]


def write_folder(folder: Path) -> Weights:
    """A folder as diffusers writes it; returns its weights."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    cn.save_controlnet(small_net(), folder, layout="diffusers")
    return load_file(folder / f"{NAME}.safetensors")


def write_shards(
    folder: Path, name: str = NAME, suffix: str = "safetensors", variant: str = ""
) -> Path:
    """The same in three files and their index; returns the index."""
    weights = write_folder(folder)
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


def check_loads(path: Path) -> None:
    """Both the library and the command line read it."""
    assert equal_weights(cn.load_controlnet(path).state_dict(), small_net().state_dict())
    found = cn.identify(path)
    assert found.loads, found
    assert found.family is not None
    assert main(["identify", str(path)]) == 0


def check_refused(path: Path, words: str) -> None:
    """Both the library and identify say it in a sentence."""
    with pytest.raises(ValueError, match=r"\.$") as error:
        cn.load_controlnet(path)
    assert words in str(error.value)
    assert words in " ".join(cn.identify(path).problems)
