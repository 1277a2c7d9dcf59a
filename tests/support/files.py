"""Checkpoints for tests: published shapes without their bytes, and small files of every format."""

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

KEYS = Path(__file__).parents[1] / "keys"
ITEM_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I8": 1}

Shapes = Mapping[str, list[int]]


def read_published(name: str) -> dict[str, list[int]]:
    """Key -> shape of a published file, from tests/keys."""
    return json.loads((KEYS / f"{name}.json").read_text())["tensors"]


def write_hollow_file(path: Path, shapes: Shapes, dtype: str = "F16") -> Path:
    """A safetensors file with these tensors, all zero, that takes no space on the disk."""
    fields, end = {}, 0
    for key, shape in shapes.items():
        start, end = end, end + torch.Size(shape).numel() * ITEM_SIZES[dtype]
        fields[key] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return write_raw_file(path, json.dumps(fields).encode(), end)


def write_raw_file(path: Path, header: bytes, data: int = 0, length: int | None = None) -> Path:
    """A file with this header, with `length` as its stated length, and this many bytes of data."""
    said = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", said) + header)
    os.truncate(path, 8 + len(header) + data)
    return path


def equal_weights(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether both have the same keys and tensors, bit for bit."""
    return a.keys() == b.keys() and all(
        v.dtype == b[k].dtype and torch.equal(v.view(torch.uint8), b[k].view(torch.uint8))
        for k, v in a.items()
    )
