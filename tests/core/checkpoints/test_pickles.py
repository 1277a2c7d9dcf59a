"""PyTorch files are read by a table of our own: no code, no global state, no matter what the process registered."""

import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from cnet_core.checkpoints.container.header import UnreadableFile
from cnet_core.checkpoints.container.pickles import PARTS, WRAPPERS, read_pickle
from cnet_core.checkpoints.container.unpickle import ForeignObjects, unpickle

#: ComfyUI registers these for the whole process.
HOST = """
import sys
from _codecs import encode
from pathlib import Path
import torch
from numpy import dtype
from numpy.dtypes import Float64DType
def scalar(*args, **kwargs):
    from numpy.core.multiarray import scalar as sc
    return sc(*args, **kwargs)
scalar.__module__ = "numpy.core.multiarray"
torch.serialization.add_safe_globals([scalar, dtype, Float64DType, encode])
from cnet_core.checkpoints.container.pickles import read_pickle
for path in sys.argv[1:]:
    assert read_pickle(Path(path))["weight"].tolist() == [1.0, 2.0], path
"""


def saved(path: Path, zipped: bool = True) -> Path:
    """A file with NumPy's numbers next to its weights."""
    value = {
        "state_dict": {"weight": torch.tensor([1.0, 2.0])},
        "losses": [np.float64(0.5), np.dtype("float32"), np.int64(2)],
    }
    torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path


def in_numpy_1s_words(path: Path) -> Path:
    """The old kind of file, with the module's name that NumPy 1 writes."""
    found = saved(path, zipped=False)
    found.write_bytes(found.read_bytes().replace(b"cnumpy._core.", b"cnumpy.core."))
    assert b"numpy.core.multiarray\nscalar" in found.read_bytes()
    return found


def test_a_hosts_registrations_change_nothing(tmp_path: Path) -> None:
    files = [saved(tmp_path / "two.pth"), in_numpy_1s_words(tmp_path / "one.pth")]
    for seed in range(2):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-W", "ignore", "-c", HOST, *map(str, files)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr


def test_threads_read_at_once(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: read_pickle(path)["weight"].tolist(), range(240)))
    finally:
        sys.setswitchinterval(interval)
    assert found == [[1.0, 2.0]] * 240


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_keep_their_values_and_share_their_storage(tmp_path: Path, zipped: bool) -> None:
    whole = torch.arange(12.0).view(3, 4)
    dtypes = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.uint8)
    value = {
        "whole": whole,
        "turned": whole.t(),
        "part": whole[1:, 2:],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.ones(0, 3),
        "number": torch.tensor(7.0),
        **{str(dtype): torch.tensor([0, 1, 1]).to(dtype) for dtype in dtypes},
    }
    if zipped:
        value |= {"fp8": torch.ones(3).to(torch.float8_e4m3fn)}
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    found = read_pickle(tmp_path / "x.pth")
    assert found.keys() == value.keys()
    for key, tensor in value.items():
        assert found[key].dtype == tensor.dtype, key
        assert torch.equal(found[key].float(), tensor.detach().float()), key
    found["whole"][1, 2] = -1
    assert found["part"][0, 0] == found["turned"][2, 1] == -1


class Calls:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


FUNCTIONS = {
    "os.mkdir": (os.mkdir, "ran"),
    "eval": (eval, "1"),
    "getattr": (getattr, "a", "upper"),
    "torch.load": (torch.load, "x"),
    "bytearray": (bytearray, 2**40),
    "a NumPy array": (np.zeros, 2**40),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("zipped", [True, False])
def test_no_other_function_is_called(tmp_path: Path, name: str, zipped: bool) -> None:
    value = {"weight": torch.ones(2), "x": Calls(*FUNCTIONS[name])}
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UnreadableFile, match="holds more than tensors"):
        read_pickle(tmp_path / "x.pth")


OPCODES = {
    "STACK_GLOBAL": b"\x8c\x02os\x8c\x05mkdir\x93.",
    "INST": b"(ios\nmkdir\n.",
    "OBJ": b"(cos\nmkdir\no.",
    "EXT1": b"\x82\x01.",
    "PERSID": b"Pstorage\n.",
    "NEWOBJ_EX": b")}\x92.",
}


@pytest.mark.parametrize("name", OPCODES)
def test_other_opcodes_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(b"\x80\x02" + OPCODES[name])
    with (tmp_path / "x").open("rb") as file, pytest.raises(ForeignObjects):
        unpickle(file)


def test_a_state_changes_no_object_of_the_process(tmp_path: Path) -> None:
    """BUILD on a function or a class would set its attributes."""
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict"):
        state = pickle.dumps({"planted": 1}, 2)[2:-1]
        (tmp_path / "x").write_bytes(b"\x80\x02c" + name + b"\n" + state + b"b.")
        with (tmp_path / "x").open("rb") as file:
            found = unpickle(file)
        assert not hasattr(found, "planted")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save(
        {"weight": torch.ones(5, 7)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False
    )
    whole = (tmp_path / "x.pth").read_bytes()
    assert whole.count(b"K\x05K\x07\x86") == 1
    (tmp_path / "x.pth").write_bytes(whole.replace(b"K\x05K\x07\x86", b"K\xffK\x07\x86"))
    with pytest.raises(UnreadableFile, match="is not a complete PyTorch file"):
        read_pickle(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
def test_levels_that_hold_themselves_are_looked_at_once(tmp_path: Path, zipped: bool) -> None:
    value: dict[str, object] = {f"loss {index}": 0.5 for index in range(20_000)}
    value.update(dict.fromkeys((*WRAPPERS, *chain(*PARTS.values())), value))
    torch.save(value, tmp_path / "self.pth", _use_new_zipfile_serialization=zipped)
    begin = time.process_time()
    with pytest.raises(UnreadableFile, match="holds no named tensors"):
        read_pickle(tmp_path / "self.pth")
    assert time.process_time() - begin < 1  # 3,000 looks at 20,000 values take 2.5 s
