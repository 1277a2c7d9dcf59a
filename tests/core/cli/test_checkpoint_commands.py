"""`cnet identify`, `convert`, `transfer`, `extract-lora`: results, exit codes, nothing written on failure."""

import json

import pytest
import torch
from fakes import small_net, small_unet
from files import equal_weights, write_hollow_file
from safetensors.torch import save_file

import cnet_core as cn
from cnet_core.cli import main


@pytest.fixture
def net(tmp_path):
    cn.save_controlnet(small_net(), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.fixture
def base(tmp_path):
    save_file(small_unet().state_dict(), tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


def test_identify_tells_good_from_other_files(tmp_path, net, capsys) -> None:
    other = write_hollow_file(tmp_path / "vae.safetensors", {"first_stage_model.a": [2]})
    assert main(["identify", str(net)]) == 0
    assert "a ControlNet for" in capsys.readouterr().out
    assert main(["identify", str(net), str(other)]) == 1
    assert "a VAE" in capsys.readouterr().out
    assert main(["identify", "--json", "--deep", str(net), str(tmp_path / "none")]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["loads"] for one in found] == [True]


def test_convert_goes_round_all_layouts(tmp_path, net, base) -> None:
    there, back = tmp_path / "folder", tmp_path / "back.safetensors"
    difference = tmp_path / "difference.safetensors"
    assert main(["convert", str(net), str(there), "--layout", "diffusers"]) == 0
    assert main(["convert", str(there), str(back), "--layout", "ldm"]) == 0
    assert equal_weights(cn.load_controlnet(back).state_dict(), small_net().state_dict())
    words = ["--layout", "difference", "--base", str(base)]
    assert main(["convert", str(back), str(difference), *words]) == 0
    assert cn.identify(difference).format == "difference"


def test_convert_marks_pooled_nets(tmp_path, net) -> None:
    out = tmp_path / "pooled.safetensors"
    assert main(["convert", str(net), str(out), "--layout", "ldm", "--pooled"]) == 0
    assert cn.load_controlnet(out).pooled


def test_convert_makes_mixed_dtypes_one(tmp_path) -> None:
    mixed = small_net()
    mixed.middle_block.half()
    cn.save_controlnet(mixed, tmp_path / "mixed.safetensors")
    assert "several dtypes" in cn.identify(tmp_path / "mixed.safetensors").notes[0]
    words = [str(tmp_path / "mixed.safetensors"), str(tmp_path / "one.safetensors")]
    assert main(["convert", *words, "--layout", "ldm", "--dtype", "bfloat16"]) == 0
    found = cn.identify(tmp_path / "one.safetensors")
    assert (found.dtypes, found.notes) == (("bfloat16",), ())


def test_transfer_adds_the_difference_of_the_bases(tmp_path, net, base) -> None:
    save_file(small_unet(9).state_dict(), tmp_path / "new.safetensors")
    words = [str(net), str(tmp_path / "out.safetensors"), "--base", str(base)]
    assert main(["transfer", *words, "--new-base", str(tmp_path / "new.safetensors")]) == 0
    key = "middle_block.0.in_layers.2.weight"
    have = cn.load_controlnet(tmp_path / "out.safetensors").state_dict()[key]
    new, old = small_unet(9).state_dict()[key], small_unet().state_dict()[key]
    torch.testing.assert_close(have, small_net().state_dict()[key] + new - old)


def test_extract_lora_reports_each_layer(tmp_path, net, base, capsys) -> None:
    words = [str(net), str(tmp_path / "lora.safetensors"), "--base", str(base), "--rank", "4"]
    assert main(["extract-lora", *words, "--json"]) == 0
    losses = json.loads(capsys.readouterr().out)
    assert {loss["rank"] for loss in losses} == {4}
    assert cn.identify(tmp_path / "lora.safetensors").format == "control-lora"
    assert main(["extract-lora", *words]) == 0
    assert "at most" in capsys.readouterr().out


FAILURES = {
    "no input": ["none.safetensors", "out.safetensors", "--layout", "ldm"],
    "no base": ["net.safetensors", "out.safetensors", "--layout", "difference"],
    "missing base": [
        "net.safetensors",
        "out.safetensors",
        "--layout",
        "difference",
        "--base",
        "none",
    ],
    "base of another kind": [
        *("net.safetensors", "out.safetensors"),
        *("--layout", "difference", "--base", "net.safetensors"),
    ],
    "no folder": ["net.safetensors", "none/out.safetensors", "--layout", "ldm"],
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_job_says_why_and_writes_nothing(tmp_path, net, capsys, monkeypatch, case) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    status = main(["convert", *FAILURES[case]])
    said = capsys.readouterr()
    assert (status, said.out) == (1, "")
    assert said.err.startswith("cnet: ")
    assert said.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


PLACES = {
    "no such folder": ("none/out.safetensors", "There is no folder none"),
    "a folder": ("folder.safetensors", "is a folder; name a file"),
    "another ending": ("out.ckpt", "its name must end with .safetensors"),
}


@pytest.mark.parametrize("case", PLACES)
@pytest.mark.parametrize("command", ["convert", "transfer", "extract-lora"])
def test_a_place_that_cannot_be_written_is_named_before_anything_is_read(
    tmp_path, capsys, monkeypatch, command, case
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.safetensors").mkdir()
    out, words = PLACES[case]
    more = {
        "convert": ["--layout", "ldm"],
        "transfer": ["--base", "b", "--new-base", "c"],
        "extract-lora": ["--base", "b", "--rank", "4"],
    }
    assert main([command, "never read", out, *more[command]]) == 1
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.safetensors"]


def test_a_file_in_the_place_of_a_diffusers_folder_is_named(tmp_path, net, capsys) -> None:
    (tmp_path / "x.pth").write_bytes(b"mine")
    assert main(["convert", str(net), str(tmp_path / "x.pth"), "--layout", "diffusers"]) == 1
    assert "which is a file; give a folder" in capsys.readouterr().err
    assert (tmp_path / "x.pth").read_bytes() == b"mine"
