"""Damaged, foreign and hostile files: one clear sentence each, no code run, nothing allocated on a file's word."""

import json
import os
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from fakes import small_net, small_unet
from files import read_published, write_hollow_file, write_raw_file
from rights import as_nobody, needs_rights

import cnet_core as cn
from cnet_core.checkpoints import BaseError, MissingBase
from cnet_core.cli import main


def one_tensor(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()


def two_tensors(first: list[int], second: list[int]) -> bytes:
    entry = {"dtype": "F32", "shape": [2]}
    both = {"a": {**entry, "data_offsets": first}, "b": {**entry, "data_offsets": second}}
    return json.dumps(both).encode()


BAD_HEADERS = {
    "header longer than the file": (b"{}", 0, 1000, "is longer than the file"),
    "header of 100 MB": (b"{}", 0, 100_000_000, "more than the 16000000 allowed"),
    "header of 2^63 bytes": (b"{}", 0, 2**63, "more than the 16000000 allowed"),
    "no JSON": (b"{nonsense", 0, None, "not valid JSON"),
    "nested deeply": (b'{"a":' * 100_000, 0, None, "not valid JSON"),
    "not UTF-8": (b"\xff\xfe\xfa", 0, None, "not valid JSON"),
    "a list": (b"[1, 2]", 0, None, "not a JSON object"),
    "a key twice": (b'{"a": 1, "a": 2}', 0, None, "a key occurs twice"),
    "unknown dtype": (one_tensor("Q4"), 8, None, "has the dtype 'Q4'"),
    "dtype no text": (one_tensor([1]), 8, None, "has the dtype"),
    "negative shape": (one_tensor(shape=[-2]), 8, None, "has the invalid shape"),
    "boolean shape": (one_tensor(shape=[True]), 8, None, "has the invalid shape"),
    "huge number": (b'{"a":{"shape":[' + b"9" * 5000 + b"]}}", 0, None, "not valid JSON"),
    "shape beyond the data": (
        one_tensor(shape=[2**40]),
        8,
        None,
        "needs 4398046511104 bytes and has 8",
    ),
    "offsets backwards": (one_tensor(offsets=[8, 0]), 8, None, "needs 8 bytes and has -8"),
    "overlap": (two_tensors([0, 8], [4, 12]), 12, None, "overlap at byte 4"),
    "gap": (two_tensors([0, 8], [12, 20]), 20, None, "leave a gap at byte 12"),
    "data cut off": (one_tensor(), 7, None, "1 bytes of its data are missing"),
    "bytes at the end": (one_tensor(), 9, None, "1 bytes follow"),
    "metadata no text": (b'{"__metadata__": {"a": 1}}', 0, None, "values that are not text"),
}

BYTES = {
    "empty": (b"", "is empty"),
    "too short": (b"\x01\x02", "ends after 2 bytes"),
    "HTML page": (b"\n<!DOCTYPE html><html>", "an HTML page, not a checkpoint"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
    "a server's answer": (
        b"Access to model x/y is restricted.",
        "begins with 'Access to model x/y",
    ),
    "a server's error": (b'{"error":\n"Not found"}', "a text file that begins with"),
    "zeros": (b"\x00" * 4096, "its header is empty"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "a GGUF file"),
    "torn zip": (b"PK\x03\x04" + b"\x00" * 50, "not a complete PyTorch file"),
    "torn pickle": (b"\x80\x02}q\x00", "not a complete PyTorch file"),
}


def sentence_of(path: Path, capsys) -> str:
    """What both the library and the command line say of a file; it must be one sentence without a traceback."""
    with pytest.raises(ValueError, match=r"\S") as error:
        cn.load_controlnet(path)
    assert main(["identify", str(path)]) == 1
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert not cn.identify(path).loads
    return str(error.value)


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_bad_headers_are_refused_with_a_sentence(tmp_path, capsys, case) -> None:
    header, data, length, words = BAD_HEADERS[case]
    said = sentence_of(write_raw_file(tmp_path / "x.safetensors", header, data, length), capsys)
    assert words in said
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("case", BYTES)
def test_what_is_no_checkpoint_is_named(tmp_path, capsys, case) -> None:
    content, words = BYTES[case]
    (tmp_path / "x.safetensors").write_bytes(content)
    assert words in sentence_of(tmp_path / "x.safetensors", capsys)


class RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path, capsys, zipped) -> None:
    value = {"zero_convs.0.0.weight": torch.ones(2), "x": RunsCode(tmp_path / "ran")}
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert "could run code" in sentence_of(tmp_path / "x.pth", capsys)
    assert not (tmp_path / "ran").exists()


class MakesBytes:
    def __reduce__(self) -> tuple[object, ...]:
        return bytearray, (2**40,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_any_amount_of_memory_is_refused(tmp_path, capsys, zipped) -> None:
    value = {"zero_convs.0.0.weight": torch.ones(2), "x": MakesBytes()}
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert "holds more than tensors" in sentence_of(tmp_path / "x.pth", capsys)


def test_a_zip_that_unpacks_to_more_is_refused(tmp_path, capsys) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x00" * 10_000_000)
    assert "is a zip archive" in sentence_of(tmp_path / "x.pth", capsys)


def test_a_torn_file_of_ours_is_refused(tmp_path, capsys) -> None:
    cn.save_controlnet(small_net(), tmp_path / "whole.safetensors")
    (tmp_path / "x.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-100])
    assert "100 bytes of its data are missing" in sentence_of(tmp_path / "x.safetensors", capsys)


def test_paths_that_hold_nothing_are_named(tmp_path, capsys) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        cn.load_controlnet(tmp_path / "none")
    assert main(["identify", str(tmp_path / "none")]) == 1
    assert "There is no file" in capsys.readouterr().err
    assert "is a folder without" in sentence_of(tmp_path, capsys)


def test_weights_quantised_to_whole_numbers_are_refused_unread(tmp_path, capsys) -> None:
    path = write_hollow_file(tmp_path / "x.safetensors", read_published("sd15_v11"), "I8")
    assert "int8" in sentence_of(path, capsys)
    with pytest.raises(ValueError, match="quantised by another tool; use the original file"):
        cn.load_controlnet(path)


@needs_rights
def test_a_file_that_may_not_be_read_is_named(capsys) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is for its user alone
        os.chmod(folder, 0o755)
        path = write_hollow_file(Path(folder) / "x.safetensors", {"a": [2]})
        path.chmod(stat.S_IWUSR)
        with as_nobody():
            with pytest.raises(PermissionError):
                cn.load_controlnet(path)
            assert main(["identify", str(path)]) == 1
    printed = capsys.readouterr()
    assert "Permission denied" in printed.err
    assert str(path) in printed.err
    assert "Traceback" not in printed.err


CONTROL = "\x1b[31m\nred"


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path, capsys) -> None:
    shapes = read_published("sd15_v11") | {f"control_model.{CONTROL}": [3]}
    found = sentence_of(write_hollow_file(tmp_path / "x.safetensors", shapes), capsys)
    assert "1 unexpected ('\\x1b[31m\\nred')" in found
    for name, words in (
        ("dtype", one_tensor(CONTROL)),
        ("invalid shape", one_tensor(shape=CONTROL)),
    ):
        found = sentence_of(write_raw_file(tmp_path / "x.safetensors", words, 8), capsys)
        assert f"has the {name} '\\x1b[31m" in found


LAYERS = {
    "missing": (
        lambda s: s.pop("control_model.time_embed.2.bias"),
        "1 missing ('time_embed.2.bias')",
    ),
    "first conv missing": (
        lambda s: s.pop("control_model.input_blocks.0.0.weight"),
        "input_blocks.0.0.weight is missing",
    ),
    "extra": (
        lambda s: s.update({"control_model.more.weight": [3]}),
        "1 unexpected ('more.weight')",
    ),
    "swapped shape": (
        lambda s: s.update({"control_model.time_embed.0.weight": [320, 1280]}),
        "1 of another shape ('time_embed.0.weight')",
    ),
    "first conv no conv": (
        lambda s: s.update({"control_model.input_blocks.0.0.weight": [320]}),
        "4 dimensions were expected",
    ),
    "width no multiple": (
        lambda s: s.update({"control_model.input_blocks.0.0.weight": [48, 4, 3, 3]}),
        "not multiples",
    ),
}


@pytest.mark.parametrize("case", LAYERS)
def test_wrong_layers_are_counted_and_shown(tmp_path, capsys, case) -> None:
    change, words = LAYERS[case]
    shapes = read_published("sd15_v11")
    change(shapes)
    assert words in sentence_of(write_hollow_file(tmp_path / "x.safetensors", shapes), capsys)


def test_a_missing_or_wrong_base_is_named(tmp_path) -> None:
    net, unet = small_net(), small_unet()
    path = tmp_path / "d.safetensors"
    cn.save_controlnet(net, path, layout="difference", base=unet)
    with pytest.raises(ValueError, match="Give that model as `base`"):
        cn.load_controlnet(path)
    with pytest.raises(ValueError, match="of another family than `base`"):
        cn.load_controlnet(
            path, base=cn.UNet(cn.UNetConfig(model_channels=64, channel_mult=(1, 1, 1, 1)))
        )
    with pytest.raises(ValueError, match="without a Stable Diffusion UNet"):
        cn.load_controlnet(path, base=torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="holds no Stable Diffusion UNet"):
        cn.load_controlnet(path, base=write_hollow_file(tmp_path / "b.safetensors", {"a": [2]}))


def test_errors_about_a_base_can_be_worded_with_another_name(tmp_path) -> None:
    path = tmp_path / "d.safetensors"
    cn.save_controlnet(small_net(), path, layout="difference", base=small_unet())
    with pytest.raises(MissingBase) as missing:
        cn.load_controlnet(path)
    assert (missing.value.path, missing.value.format) == (path, "difference")
    with pytest.raises(BaseError) as no_unet:
        cn.load_controlnet(path, base={"a": torch.ones(1)})
    other = cn.UNet(cn.UNetConfig(model_channels=64, channel_mult=(1, 1, 1, 1)))
    with pytest.raises(BaseError) as family:
        cn.load_controlnet(path, base=other)
    for error in (missing.value, no_unet.value, family.value):
        assert "`base`" in str(error)
        words = error.sentence("base_model")
        assert "`base_model`" in words
        assert "`base`" not in words


@pytest.mark.parametrize("name", ["base", "base_model"])
def test_notes_on_a_base_use_the_callers_name(tmp_path, name: str) -> None:
    path = tmp_path / "d.safetensors"
    cn.save_controlnet(small_net(), path, layout="difference", base=small_unet())
    (note,) = cn.identify(path, base_name=name).notes
    assert note == (
        f"It holds differences from a base model: load it with `{name}`, the model it was made from."
    )
