"""Files of our own: written atomically, read back bit for bit, damage named."""

import json
import os

import pytest
import torch
from fakes import SMALL, small_net
from safetensors.torch import load_file, save_file

import cnet_core as cn
from cnet_core.checkpoints.container.files import read_tensors, write_tensors


def test_saved_net_comes_back_bit_for_bit(tmp_path) -> None:
    net = small_net()
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    back = cn.load_controlnet(tmp_path / "net.safetensors")
    assert back.config == SMALL
    assert all(torch.equal(v, back.state_dict()[k]) for k, v in net.state_dict().items())


def test_half_precision_is_kept_or_cast(tmp_path) -> None:
    cn.save_controlnet(small_net().half(), tmp_path / "net.safetensors")
    assert cn.load_controlnet(tmp_path / "net.safetensors").dtype == torch.float16
    assert (
        cn.load_controlnet(tmp_path / "net.safetensors", dtype=torch.float32).dtype == torch.float32
    )


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"old")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_tensors({"a": torch.ones(2)}, path, {})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["net.safetensors"]


def test_missing_and_damaged_files_are_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        cn.load_controlnet(tmp_path / "none.safetensors")
    whole = tmp_path / "net.safetensors"
    cn.save_controlnet(small_net(), whole)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        cn.load_controlnet(cut)


def test_missing_layers_are_counted_and_shown(tmp_path) -> None:
    from safetensors import safe_open

    whole, part = tmp_path / "net.safetensors", tmp_path / "part.safetensors"
    cn.save_controlnet(small_net(), whole)
    with safe_open(whole, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(whole)
    del tensors["control_model.zero_convs.3.0.weight"]
    save_file(tensors, part, metadata)
    with pytest.raises(ValueError, match=r"1 missing .*zero_convs\.3\.0\.weight"):
        cn.load_controlnet(part)


@pytest.mark.parametrize("padding", range(4))
def test_tensors_are_read_wherever_they_begin(tmp_path, padding: int) -> None:
    """safetensors pads headers, the format does not ask for it; so numbers may begin at any byte."""
    entries = {
        "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
        "empty": {"dtype": "F16", "shape": [0, 3], "data_offsets": [8, 8]},
    }
    text = json.dumps(entries).encode() + b" " * padding
    data = torch.tensor([1.5, -2.0]).numpy().tobytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    found, _ = read_tensors(path)
    assert found["a"].tolist() == [[1.5], [-2.0]]
    assert found["empty"].shape == (0, 3)


def test_changing_what_was_read_leaves_the_file_alone(tmp_path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors({"a": torch.ones(4)}, path, {})
    read_tensors(path)[0]["a"].zero_()
    assert load_file(path)["a"].tolist() == [1, 1, 1, 1]
