"""What a run learns from, compared by content: every kind of change is named, and other places are none."""

import ntpath
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest
import torch
from fakes import small_unet

from cnet_core.training.contents import Contents, Sample, changes, contents_of, weights_digest
from cnet_core.training.folder import RunFolder
from cnet_core.training.listing import Item

SAMPLES = [
    Sample(f"target/{i}.png", f"source/{i}.png", f"star {i}", f"p{i}", f"h{i}") for i in range(6)
]


def changed(index: int, **values: str) -> list[Sample]:
    found = list(SAMPLES)
    found[index] = replace(found[index], **values)
    return found


CHANGES: dict[str, tuple[list[Sample], list[str]]] = {
    "none": (SAMPLES, []),
    "other names alone": ([replace(s, picture="x" + s.picture) for s in SAMPLES], []),
    "a picture": (changed(2, picture_digest="new"), ["pictures changed: 1 (target/2.png)"]),
    "a hint": (changed(3, hint_digest="new"), ["hints changed: 1 (target/3.png)"]),
    "a prompt": (changed(4, prompt="new"), ["prompts changed: 1 (target/4.png)"]),
    "removed": (SAMPLES[2:], ["samples removed: 2 (target/0.png, target/1.png)"]),
    "reordered": (SAMPLES[::-1], ["the order changed"]),
    "added": (
        [*SAMPLES, *(replace(s, picture="new/" + s.picture) for s in SAMPLES)],
        ["samples added: 6 (new/target/0.png, new/target/1.png, new/target/2.png, ...)"],
    ),
    "listed twice": ([*SAMPLES, SAMPLES[0]], ["samples added: 1 (target/0.png)"]),
}


@pytest.mark.parametrize(("after", "expected"), CHANGES.values(), ids=CHANGES)
def test_every_kind_of_change_is_named(after: list[Sample], expected: list[str]) -> None:
    assert changes(SAMPLES, after) == expected


def test_a_digest_of_weights_sees_values_and_dtypes() -> None:
    unet = small_unet()
    digest = weights_digest(unet)
    assert weights_digest(small_unet()) == digest
    others: list[Callable[[], object]] = [
        lambda: next(unet.parameters()).data.flatten()[0].add_(1e-6),
        lambda: unet.to(torch.bfloat16),
    ]
    for change in others:
        change()
        assert weights_digest(unet) != digest


def test_contents_survive_the_folder(tmp_path: Path) -> None:
    contents = Contents("abc", tuple(changed(0, prompt="a\u2028b")))
    folder = RunFolder(tmp_path)
    assert folder.contents() is None
    folder.set_contents(contents)
    assert folder.contents() == contents
    (tmp_path / "contents.jsonl").write_text("{}")
    with pytest.raises(ValueError, match=r"contents\.jsonl is damaged"):
        folder.contents()


def test_a_picture_on_another_drive_keeps_its_whole_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "relpath", ntpath.relpath)  # as on Windows
    item = Item(PureWindowsPath("D:/pictures/0.png"), PureWindowsPath("D:/hints/0.png"), "star")
    (sample,) = contents_of(small_unet(), [item], PureWindowsPath("C:/lists")).samples
    assert (sample.picture, sample.hint) == ("D:/pictures/0.png", "D:/hints/0.png")
