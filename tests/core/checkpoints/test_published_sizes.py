"""The key tables against the published files' sizes: keys and shapes make the header, so one wrong letter would show.

The sizes are as public download lists give them.
"""

import json
from math import prod

import pytest
from files import read_published

#: Table -> published files: (repository and file, bytes, dtype, its metadata, whether the header is padded to 8).
FILES = {
    "sd15_v11": [
        (
            "comfyanonymous/ControlNet-v1-1_fp16_safetensors control_v11f1e_sd15_tile_fp16",
            722_601_104,
            "F16",
            None,
            True,
        ),
    ],
    "sdxl_full": [
        ("xinsir/controlnet-tile-sdxl-1.0", 2_502_139_104, "F16", None, True),
        ("thibaud/controlnet-openpose-sdxl-1.0 OpenPoseXL2", 5_004_167_829, "F32", None, False),
        (
            "monster-labs/control_v1p_sdxl_qrcode_monster",
            5_004_167_864,
            "F32",
            {"format": "pt"},
            True,
        ),
    ],
    "sdxl_small": [
        (
            "diffusers/controlnet-canny-sdxl-1.0-small fp16",
            320_237_179,
            "F16",
            {"format": "pt"},
            False,
        ),
    ],
    "sdxl_union_6": [("xinsir/controlnet-union-sdxl-1.0", 2_512_030_408, "F16", None, True)],
    "sdxl_union_8": [("xinsir/controlnet-union-sdxl-1.0 promax", 2_513_342_408, "F16", None, True)],
}
CASES = {file[0]: (table, *file[1:]) for table, files in FILES.items() for file in files}


def size_of(shapes: dict[str, list[int]], dtype: str, metadata: object, padded: bool) -> int:
    """Bytes of the safetensors file of these tensors, written in the order of their names."""
    fields = {"__metadata__": metadata} if metadata else {}
    end = 0
    for key in sorted(shapes):
        start, end = end, end + prod(shapes[key]) * {"F16": 2, "F32": 4}[dtype]
        fields[key] = {"dtype": dtype, "shape": shapes[key], "data_offsets": [start, end]}
    header = len(json.dumps(fields, separators=(",", ":")))
    return 8 + header + (-header % 8 if padded else 0) + end


@pytest.mark.parametrize("name", CASES)
def test_a_table_implies_the_published_files_size(name: str) -> None:
    table, size, *how = CASES[name]
    assert size_of(read_published(table), *how) == size
