"""The measurement of loading: what it reads, that it takes turns, what memory it sees."""

import mmap
import sys

import pytest
import torch
from fakes import small_net

import cnet_core as cn
from cnet_core.bench.loading import COLUMNS, compare, measure, read_once

MIB = 2**20


@pytest.fixture
def path(tmp_path):
    cn.save_controlnet(small_net(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_every_byte_is_read() -> None:
    weights = [torch.full((3,), 2, dtype=torch.uint8), torch.full((2,), 5, dtype=torch.int64)]
    assert read_once(weights) == 3 * 2 + 2 * 5


def test_loaders_take_turns_and_the_first_is_not_counted(path) -> None:
    turns = []
    names = {name: lambda _, name=name: turns.append(name) or [torch.ones(1)] for name in "ab"}
    found = measure(path, 2, names)
    assert "".join(turns) == "ababab"
    assert {name: len(loads) for name, loads in found.items()} == {"a": 2, "b": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts a process's memory so")
def test_memory_that_a_loader_takes_for_a_while_and_for_good_is_seen(path) -> None:
    def wasteful(_):
        _touched(256)  # gone at once
        return [_touched(64)]

    (load,) = measure(path, 1, {"wasteful": wasteful})["wasteful"]
    assert 255 < load.peak < 300
    assert 63 < load.private < 80


def test_a_table_has_every_loader_and_figure(path) -> None:
    table = compare(path, 1)
    assert set(table.rows) == {"cnet_core", "safetensors"}
    assert table.columns == tuple(COLUMNS)
    assert "meta device" in table.notes[0]


def _touched(mebibytes: int) -> torch.Tensor:
    """Pages of their own: an allocator may have kept some from before, which would not count."""
    pages = mmap.mmap(-1, mebibytes * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(pages, dtype=torch.uint8).fill_(1)
