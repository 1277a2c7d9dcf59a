"""`cnet demo` from the outside: what it writes, and one sentence for every mistake."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cnet_core.cli import main
from cnet_core.tiny.demo import NOT_MEASURED, ROWS
from cnet_core.tiny.drawn_hint import draw_hint

QUICK = ["--steps", "2"]
QUICKEST = ["--steps", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one short demonstration."""
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(out), *QUICK]) == 0
    return out


def test_demo_writes_every_picture_and_nothing_else(folder: Path) -> None:
    pictures = {f"{row}__{kind}.png" for row in ROWS for kind in ("prompt", "empty")}
    assert {f.name for f in folder.iterdir()} == pictures | {
        "contact_sheet.png",
        "hint.png",
        "report.json",
    }
    with Image.open(folder / "both__empty.png") as picture:
        assert picture.size == (128, 128)


def test_report_tells_what_was_run(folder: Path) -> None:
    report = {p["name"]: p for p in json.loads((folder / "report.json").read_text())["pictures"]}
    assert len(report) == 14
    assert report["both__prompt"]["prompt"] == "a fox on a sky background"
    rows = {
        name: (p["control_net_evaluations"], p["control_net_rows"]) for name, p in report.items()
    }
    assert rows["no_control__prompt"] == (0, 0)
    assert rows["both__empty"] == (2, 4)
    assert rows["cond_only__prompt"] == (2, 2)
    assert report["target_gain__empty"]["gains"]["total"] == pytest.approx(2)
    assert report["cond_only_soft__empty"]["scales"][0] == pytest.approx(0.0994, abs=1e-4)
    assert 0 <= report["both__prompt"]["adherence"] <= 1


def test_same_seed_same_pixels(folder: Path, tmp_path: Path) -> None:
    assert main(["demo", "--out", str(tmp_path), *QUICK]) == 0
    for name in ("target_gain__prompt.png", "contact_sheet.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_the_outline_of_a_word_is_the_hint(tmp_path: Path) -> None:
    assert main(["demo", "--draw", "teapot", "--out", str(tmp_path), *QUICKEST]) == 0
    with Image.open(tmp_path / "hint.png") as hint:
        lines = np.asarray(hint.convert("L")) > 127
    expected = draw_hint("teapot")[0][0, 0] > 0.5
    assert np.array_equal(lines, expected.numpy())
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["settings"]["prompt"] == "a coral shape on a navy background"


def test_a_blank_hint_has_no_adherence(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "blank.png")
    assert (
        main(
            ["demo", "--hint", str(tmp_path / "blank.png"), "--out", str(tmp_path / "o"), *QUICKEST]
        )
        == 0
    )
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    found = {(p["adherence"], p["adherence_note"]) for p in report["pictures"]}
    assert found == {(None, NOT_MEASURED)}


def test_an_empty_prompt_of_the_users_own_fills_both_lines(tmp_path: Path) -> None:
    assert main(["demo", "--prompt", "", "--out", str(tmp_path), "--steps", "1"]) == 0
    assert (tmp_path / "both__prompt.png").read_bytes() == (
        tmp_path / "both__empty.png"
    ).read_bytes()


FAILURES = {
    "two hints": (["--draw", "fox", "--hint", "f.png"], "`--hint` is f.png and `--draw` is 'fox'"),
    "edges of nothing": (["--hint-is-edges"], "give it with `--hint`"),
    "no such file": (["--hint", "none.png"], "No such file or directory: none.png"),
    "unknown words": (["--prompt", "a dog"], "does not know 'dog'"),
    "too many words": (["--prompt", "a " * 9], "reads at most 8"),
    "a folder as hint": (["--hint", "."], "Is a directory: ."),
    "a file as folder": (["--out", "file"], "which is a file; give a folder"),
    "below a file": (["--out", "file/below"], "Not a directory"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_one_sentence(name: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    arguments, words = FAILURES[name]
    assert main(["demo", *QUICK, *arguments]) == 1
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1
    assert [f.name for f in tmp_path.rglob("*")] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "0"], "--steps: 0 is not within 1..1000"),
        (["--steps", "x"], "--steps: 'x' is not a whole number"),
        (["--cfg", "nan"], "--cfg: nan is not within 0..100"),
        (["--cfg", "1e9"], "--cfg: 1e9 is not within 0..100"),
        (["--cfg", "high"], "--cfg: 'high' is not a number"),
        (["--seed", "-1"], "--seed: -1 is not within"),
        (["--draw", "dog"], "--draw: invalid choice: 'dog' (choose from"),
        (["--color", "1"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_why(arguments: list[str], words: str, capsys) -> None:
    with pytest.raises(SystemExit) as error:
        main(["demo", *arguments])
    assert error.value.code == 2
    assert words in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch, capsys) -> None:
    def full(self: Image.Image, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Image.Image, "save", full)
    assert main(["demo", *QUICKEST, "--out", str(tmp_path)]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
    ids=["Python", "CUDA", "CPU"],
)
def test_too_little_memory_is_one_sentence(
    error: Exception, tmp_path: Path, monkeypatch, capsys
) -> None:
    def fail(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        raise error

    monkeypatch.setattr(torch.nn.Conv2d, "forward", fail)
    assert main(["demo", *QUICKEST, "--out", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("cnet: Out of memory")
    assert message.count("\n") == 1


def test_a_defect_is_not_taken_for_too_little_memory(tmp_path: Path, monkeypatch) -> None:
    def fail(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("a defect")

    monkeypatch.setattr(torch.nn.Conv2d, "forward", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        main(["demo", *QUICKEST, "--out", str(tmp_path)])


@pytest.mark.parametrize("device", ["toaster", "meta", "cuda:99"])
@pytest.mark.parametrize("command", [["bench", "--short"], ["train", "--tiny"]], ids=lambda c: c[0])
def test_a_device_that_is_not_there_is_one_sentence(
    command: list[str], device: str, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), "--device", device]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"cnet: `--device` is {device!r}: ")
    assert message.count("\n") == 1
    assert not out.exists()
