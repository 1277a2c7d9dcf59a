"""The measurement of loading: what it reads, and that it takes turns."""

import torch
from fakes import small_net

import cnet_core as cn
from cnet_core.bench.loading import measure, read_once


def test_every_byte_is_read() -> None:
    weights = [torch.full((3,), 2, dtype=torch.uint8), torch.full((2,), 5, dtype=torch.int64)]
    assert read_once(weights) == 3 * 2 + 2 * 5


def test_loaders_take_turns_and_the_first_is_not_counted(tmp_path) -> None:
    path, turns = tmp_path / "net.safetensors", []
    cn.save_controlnet(small_net(), path)
    names = {name: lambda _, name=name: turns.append(name) or [torch.ones(1)] for name in "ab"}
    found = measure(path, 2, names)
    assert "".join(turns) == "ababab"
    assert set(found) == {"a", "b"}
    assert set(measure(path, 1)) == {"cnet_core", "safetensors"}
