"""The route that says which files fit: what it answers, how fast, and what it never does."""

import os
import shutil
import statistics
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import Graph, Sampling, save
from host import Host
from weights import SD15, family

import cnet_core as cn

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from files import read_published, write_hollow_file
from known_files import FOREIGN, PUBLISHED

#: How many files there are besides those of every test.
COUNT = 200
CACHED_SECONDS = 0.05


def ask(comfy: Host, **query: str) -> dict[str, Any]:
    """Returns the route's answer."""
    return comfy.get(f"/cnet/control_nets?{urllib.parse.urlencode(query)}")


def ask_until_complete(comfy: Host, **query: str) -> dict[str, Any]:
    """Asks as the front end does, until every header was read."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = ask(comfy, **query)
        if answer["complete"]:
            return answer
        time.sleep(0.2)
    raise TimeoutError("the scan does not end")


@pytest.fixture(scope="module")
def many(comfy: Host) -> Iterator[Host]:
    """A server with many files, an SD1.5 checkpoint and a pickle; the files have no bytes."""
    folder = comfy.base / "models/controlnet/many"
    folder.mkdir()
    tables = [read_published(name) for name in PUBLISHED]
    tables += [{key: [4, 4] for key in keys} for keys in FOREIGN.values()]
    for number in range(COUNT):
        marked = {**tables[number % len(tables)], f"mark.{number}": [number + 1]}
        write_hollow_file(folder / f"{number:03}.safetensors", marked)
    torch.save({"body.0.in_conv.weight": torch.zeros(4, 4)}, folder / "adapter.pth")
    models = comfy.base / "models/checkpoints"
    models.mkdir(exist_ok=True)
    with torch.device("meta"):
        keys = cn.UNet(cn.SD15).state_dict()
    unet = {f"model.diffusion_model.{key}": list(value.shape) for key, value in keys.items()}
    write_hollow_file(models / "fit_sd15.safetensors", unet)
    yield comfy
    shutil.rmtree(folder)
    (models / "fit_sd15.safetensors").unlink()


def test_the_list_is_usable_while_headers_are_read_and_fast_afterwards(many: Host) -> None:
    first = ask(many)
    assert not first["complete"]
    begun = time.monotonic()
    many.get("/system_stats")
    assert time.monotonic() - begun < 1.0  # the server is free meanwhile
    answer = ask_until_complete(many)
    took = []
    for _ in range(20):
        begun = time.monotonic()
        ask(many)
        took.append(time.monotonic() - begun)
    assert statistics.median(took) <= CACHED_SECONDS
    families = [answer["files"][f"many/{number:03}.safetensors"]["family"] for number in range(12)]
    assert families == [PUBLISHED[name][1] for name in PUBLISHED]


def test_files_fit_the_model_or_not(many: Host) -> None:
    answer = ask_until_complete(many, model="fit_sd15.safetensors")
    assert answer["model"]["family"] == "SD1.x"
    fits = {name: one["fits"] for name, one in answer["files"].items()}
    assert fits["many/001.safetensors"] is True  # sd15_v11
    assert fits["many/007.safetensors"] is False  # sdxl_small
    assert fits["sd15.safetensors"] is True
    assert fits["sdxl.safetensors"] is False


def test_a_pickle_is_read_when_it_is_chosen(many: Host) -> None:
    name = "many/adapter.pth"
    assert name not in ask_until_complete(many)["files"]
    assert ask_until_complete(many, chosen=name)["files"][name]["what"] == "a T2I-Adapter"


@pytest.mark.parametrize("name", ["../checkpoints/fit_sd15.safetensors", "/etc/passwd", ""])
def test_only_names_of_the_lists_are_read_and_answers_hold_no_paths(many: Host, name: str) -> None:
    answer = ask_until_complete(many, model=name, chosen=name)
    assert answer["model"] is None
    assert name not in answer["files"]
    assert str(many.base) not in str(answer)


def test_the_route_only_answers(many: Host) -> None:
    request = urllib.request.Request(f"{many.url}/cnet/control_nets", b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request)


def test_a_change_of_the_base_model_does_not_read_the_file_again(comfy: Host) -> None:
    """Its bytes are overwritten in between, with size and time as before; the net goes with the model."""
    path = comfy.base / "models/controlnet/read_once.safetensors"
    cn.save_controlnet(cn.ControlNet(SD15), path)
    try:
        run_with_base(comfy, multiplier=0.7)
        stat = path.stat()
        path.write_bytes(b"\0" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        run_with_base(comfy, multiplier=0.6)
    finally:
        path.unlink()


def run_with_base(comfy: Host, multiplier: float) -> None:
    """Samples with the file, whose loader has a base model behind a node that patches it."""
    models, graph = family(SD15), Graph()
    base = graph.add("RescaleCFG", model=models.model(graph, 1), multiplier=multiplier)
    net = graph.add("LoadControlNet", control_net_name="read_once.safetensors", base_model=base)
    picture = graph.add("ProbePicture", width=64, height=64, count=1, seed=5)
    numbers = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
    patched = graph.add("ApplyControlNet", model=base, control_net=net, image=picture, **numbers)
    conds = (models.cond(graph, 1), models.cond(graph, 2))
    latents = Sampling(steps=1).ksampler(graph, patched, *conds)
    comfy.run(save(graph, latents, "read_once"))
