"""Data layouts: what is no sample is named, and how to put it right."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from odd_pictures import filter_tar, write_samples
from PIL import Image

from cnet_core.training.data import UsableItems, find_usable
from cnet_core.training.layouts import tars
from cnet_core.training.picture_formats import open_picture, picture_endings

SIDE = 32


def first_bad(data: Path, **options: object) -> str:
    """Returns what is wrong with the first bad sample, and checks that it is counted and skipped when asked."""
    with pytest.raises(ValueError, match=r"1 of 3 samples cannot be used.*--skip-bad") as raised:
        find_usable(data, SIDE, **options)
    found: UsableItems = find_usable(data, SIDE, skip_bad=True, **options)
    assert (len(found.items), len(found.bad)) == (2, 1)
    assert found.bad[0] in str(raised.value)
    return found.bad[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("01.jpg", b"", "01.jpg, 01.png in {} share their stem; rename or remove one"),
        ("01.caption", b"x", "01.caption, 01.txt in {} share their stem"),
        ("conditioning/01.bmp", b"", "01.bmp, 01.png in {}/conditioning share their stem"),
        ("01.txt", b"two\nlines", "01.txt has several lines; a caption is one line"),
        ("01.txt", b"\xff", "01.txt is not UTF-8"),
        ("01.txt", None, "01.png has no caption 01.txt"),
        ("conditioning/01.png", None, "01.png has no text named 'conditioning_image'"),
    ],
)
def test_pairs_that_do_not_match_are_named(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    _pictures_of_one_kind(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    assert message.format(tmp_path) in first_bad(tmp_path)


def _pictures_of_one_kind(folder: Path) -> None:
    (folder / "conditioning").mkdir()
    for index in range(3):
        for place in (folder, folder / "conditioning"):
            Image.new("L", (32, 32), 80 * index).save(place / f"{index:02d}.png")
        (folder / f"{index:02d}.txt").write_text("a star")


@pytest.mark.parametrize("pictures", [".", "images"])
@pytest.mark.parametrize("hints", ["conditioning", "conditioning_images"])
def test_pairs_may_lie_in_folders_of_their_own(tmp_path: Path, pictures: str, hints: str) -> None:
    _pictures_of_one_kind(tmp_path)
    (tmp_path / "conditioning").rename(tmp_path / hints)
    if pictures != ".":
        (tmp_path / pictures).mkdir()
        for file in [f for f in tmp_path.iterdir() if f.is_file()]:
            file.rename(tmp_path / pictures / file.name)
    items = find_usable(tmp_path, SIDE).items
    assert [item.picture.path.name for item in items] == ["00.png", "01.png", "02.png"]
    assert all(item.hint.path.parent == tmp_path / hints for item in items)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file_name,conditioning_image,text\na,b,c,d\n", "row 1 of metadata.csv has 4 cells for 3"),
        ("file_name;conditioning_image;text\na;b;c\n", "names no column for pictures"),
        ('file_name,text\n"a"b,c\n', "is not CSV at line 2"),
        (
            "file_name,text\na.png,c\n",
            "row 1 of metadata.csv has no text named 'conditioning_image'",
        ),
        ("", "lists no sample"),
    ],
    ids=["comma in a text", "semicolons", "quotes", "no hints", "empty"],
)
def test_what_is_wrong_with_a_csv_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_usable(tmp_path, SIDE)


def test_members_of_a_tar_that_do_not_match_are_named(tmp_path: Path) -> None:
    write_samples("tars", tmp_path / "data", 6)
    (tmp_path / "data" / "part-00001.tar").unlink()
    tar = tmp_path / "data" / "part-00000.tar"
    whole = tar.read_bytes()
    with tarfile.open(tar, "a") as file:
        again = tarfile.TarInfo("./01.bmp")
        file.addfile(again)
    assert "01 has several members for its 'image'" in first_bad(tmp_path / "data")
    tar.write_bytes(whole)
    filter_tar(tar, lambda name: not name.startswith("./01") or name.endswith(".txt"))
    assert "01 has no text named 'image'" in first_bad(tmp_path / "data")
    for content in (whole[: len(whole) // 2], b"\x1f\x8b" + whole, b"no tar"):
        tar.write_bytes(content)
        with pytest.raises(ValueError, match=r"part-00000\.tar is compressed, cut off or no tar"):
            find_usable(tmp_path / "data", SIDE)


def test_members_of_a_tar_that_are_no_files_are_left_out(tmp_path: Path) -> None:
    write_samples("tars", tmp_path / "data", 4)
    with tarfile.open(tmp_path / "data" / "part-00000.tar", "a") as file:
        link = tarfile.TarInfo("./09.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        file.addfile(link)
    assert len(find_usable(tmp_path / "data", SIDE).items) == 4


def test_tables_that_are_damaged_or_of_other_columns_are_named(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match=r"a\.parquet is no whole Parquet file"):
        find_usable(tmp_path, SIDE)
    parquet.write_table(pyarrow.table({"pixels": [1], "text": ["a"]}), file)
    with pytest.raises(
        ValueError, match=r"has the columns pixels, text; pictures are expected in 'image'"
    ):
        find_usable(tmp_path, SIDE)
    columns = {"image": [[1, 2]], "conditioning_image": [[1, 2]], "text": ["a"]}
    parquet.write_table(pyarrow.table(columns), file)
    with pytest.raises(ValueError, match=r"row 1 of .* neither encoded bytes nor a file name"):
        find_usable(tmp_path, SIDE)


def test_tables_may_name_files(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    _pictures_of_one_kind(tmp_path)
    columns = {
        "image": ["00.png", "01.png"],
        "conditioning_image": [
            {"bytes": None, "path": f"conditioning/{i:02d}.png"} for i in (0, 1)
        ],
        "caption": ["a", "b"],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "all.parquet")
    items = find_usable(tmp_path / "all.parquet", SIDE).items
    assert [item.hint.path for item in items] == [
        tmp_path / "conditioning" / f"{i:02d}.png" for i in (0, 1)
    ]


def test_without_pyarrow_a_table_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnet_core.training.layouts import tables

    def missing(name: str) -> None:
        raise ImportError(name)

    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setattr(tables, "import_module", missing)
    with pytest.raises(
        ValueError, match=r"needs pyarrow 15 or newer: pip install 'cnet-nodes\[parquet\]'"
    ):
        find_usable(tmp_path, SIDE)


def test_two_lists_in_one_folder_are_refused_until_one_is_named(tmp_path: Path) -> None:
    write_samples("metadata.csv", tmp_path / "data", 4)
    row = {"image": "00.png", "conditioning_image": "conditioning/00.png", "text": "other"}
    (tmp_path / "data" / "train.jsonl").write_text(json.dumps(row))
    with pytest.raises(
        ValueError, match=r"lists samples more than once: .*Give one file with `--data`"
    ):
        find_usable(tmp_path / "data", SIDE)
    assert len(find_usable(tmp_path / "data" / "metadata.csv", SIDE).items) == 4
    with pytest.raises(ValueError, match=r"is none of: prompt\.json"):
        find_usable(tmp_path / "data" / "00.webp", SIDE)


def test_only_the_first_samples_count_if_a_number_is_given(tmp_path: Path) -> None:
    found = write_samples("pairs", tmp_path / "data", 6)
    items = find_usable(tmp_path / "data", SIDE, most=2).items
    assert [item.prompt for item in items] == [sample.caption for sample in found[:2]]


def test_a_picture_that_pillow_would_hand_to_ghostscript_is_refused(tmp_path: Path) -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    with Image.open(io.BytesIO(eps)) as image:
        assert image.format == "EPS"  # whatever its name
    with pytest.raises(OSError, match="cannot identify"):
        open_picture(eps)
    assert ".eps" not in picture_endings()
    assert {".jpg", ".png", ".webp", ".tif"} <= picture_endings()


def test_a_tar_member_with_a_dot_in_its_key_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("cat.v2.jpg", "cat.v2.txt"):
            tar.addfile(tarfile.TarInfo(name))
    (entry,) = tars.read(tmp_path / "a.tar")
    with pytest.raises(ValueError, match="a key must not hold a dot"):
        entry.item(needs_hint=True)
