"""Files with changed bytes and keys: each is read or refused, in bounded time and memory.

CNET_FUZZ=5000 makes 40,000 of the short run's 620.
"""

import contextlib
import os
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from files import read_published, write_hollow_file

import cnet_core as cn
from cnet_core.bench import process_memory


def files(short_run: int) -> range:
    """How many mutated files a test makes: few, or as many as CNET_FUZZ says."""
    return range(int(os.environ.get("CNET_FUZZ", short_run)))


@contextlib.contextmanager
def within(seconds: float, mebibytes: int) -> Iterator[None]:
    """Fails when its block takes more time of the processor or, where Linux counts it, more memory."""
    process_memory.forget_peak()
    before, start = process_memory.in_use() or 0, time.process_time()
    yield
    assert time.process_time() - start < seconds
    assert (process_memory.peak() or 0) - before < mebibytes * 2**20


def mutated(whole: bytes, chance: random.Random, header: int) -> bytes:
    """The file with a few bytes changed, mostly in the header; sometimes cut."""
    data = bytearray(whole)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(header) if chance.random() < 0.9 else chance.randrange(8)
        data[place] = (
            chance.choice(b'{}[]",:0123456789-eE. \x00\xff')
            if chance.random() < 0.7
            else chance.randrange(256)
        )
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_never_crash(tmp_path, seed) -> None:
    """Each is either refused with a ValueError or read; nothing else comes out."""
    chance = random.Random(seed)
    keys = [
        "zero_convs.0.0.weight",
        "input_blocks.0.0.weight",
        "controlnet_cond_embedding.conv_in.weight",
    ]
    shapes = {key: [2, 2, 1, 1] for key in chance.sample(keys, 2)}
    whole = write_hollow_file(tmp_path / "whole", shapes).read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for _ in files(short_run=100):
        read_or_refuse(tmp_path / "x.safetensors", mutated(whole, chance, header))


def read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with within(seconds=10, mebibytes=100):
        assert isinstance(cn.identify(path).what, str)
        with contextlib.suppress(ValueError):
            cn.load_controlnet(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_mutated_pytorch_files_never_crash(tmp_path, zipped) -> None:
    chance, path = random.Random(zipped), tmp_path / "x.pth"
    value = {"state_dict": {"zero_convs.0.0.weight": torch.ones(2, 2, 1, 1)}, "global_step": 3}
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for _ in files(short_run=100):
        read_or_refuse(path, mutated(whole, chance, len(whole)))


@pytest.mark.parametrize("seed", range(2))
def test_mutated_key_sets_never_crash(tmp_path, seed) -> None:
    chance = random.Random(seed)
    names = ["sdxl_small", "control_lora_128", "sd15_difference"]
    tables = [read_published(name) for name in names]
    for _ in files(short_run=10):
        shapes = dict(chance.choice(tables))
        for key in chance.sample(sorted(shapes), chance.randint(1, 5)):
            new = chance.choice([key[:-1], key.replace("1", "7"), key.split(".")[0], "difference"])
            shape = [chance.choice([0, 1, 3, 32, 320]) for _ in range(chance.randint(0, 5))]
            shapes[new] = shape if chance.random() < 0.5 else shapes.pop(key)
        path = write_hollow_file(tmp_path / "x.safetensors", shapes)
        with within(seconds=10, mebibytes=100):
            assert isinstance(str(cn.identify(path)), str)
