"""docs/dev/publish.py fills in the publisher's values, on a copy of what is published."""

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "dev"))
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import links
import publish

ROOT = Path(__file__).parents[2]
WORDS = ["set", "--publisher", "some-one", "--repository", "https://github.com/some-one/pack.git"]
PLACES = publish.Places("p", "https://github.com/o/n", "https://o.org", "main")
RAW, BLOB = "https://raw.githubusercontent.com/o/n/main/", "https://github.com/o/n/blob/main/"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the script reads."""
    for name in ("pyproject.toml", "README.md", "locales/en/nodeDefs.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in publish.GRAPHS:
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def test_a_copy_is_filled_in_and_a_second_run_changes_nothing(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish.main(["--root", str(copy), *WORDS])
    assert "changed pyproject.toml" in capsys.readouterr().out
    publish.main(["--root", str(copy), *WORDS])
    assert capsys.readouterr().out == "nothing to change\n"


def test_pyproject_has_every_value_and_keeps_the_rest(copy: Path) -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11")
    before = tomllib.loads((copy / "pyproject.toml").read_text())
    publish.main(["--root", str(copy), *WORDS])
    after = tomllib.loads((copy / "pyproject.toml").read_text())
    raw = "https://raw.githubusercontent.com/some-one/pack/main/docs/images/"
    pack = {"PublisherId": "some-one", "Icon": raw + "icon.png", "Banner": raw + "banner.png"}
    assert after["tool"]["comfy"] == {**before["tool"]["comfy"], **pack}
    assert after["project"]["urls"] == {
        "Repository": "https://github.com/some-one/pack",
        "Documentation": "https://github.com/some-one/pack/tree/main/docs",
        "Issues": "https://github.com/some-one/pack/issues",
    }
    for both in (before, after):
        del both["tool"]["comfy"], both["project"]["urls"]
    assert after == before


def test_readme_has_no_relative_address_left(copy: Path) -> None:
    before = (copy / "README.md").read_text()
    publish.main(["--root", str(copy), *WORDS])
    after = (copy / "README.md").read_text()
    assert len(links.targets(after)) == len(links.targets(before)) > 10
    assert all(links.SCHEME.match(target) or target[0] == "#" for target in links.targets(after))
    assert after.split("```")[1::2] == before.split("```")[1::2]


def test_our_nodes_in_every_graph_name_the_pack(copy: Path) -> None:
    publish.main(["--root", str(copy), *WORDS])
    ours = json.loads((copy / "locales/en/nodeDefs.json").read_text())
    graphs = [file for folder in publish.GRAPHS for file in (copy / folder).glob("*.json")]
    assert len(graphs) > 5
    for file in graphs:
        nodes = json.loads(file.read_text())["nodes"]
        named = {node["type"] for node in nodes if node["properties"].get("cnr_id") == "cnet-nodes"}
        assert named == {node["type"] for node in nodes} & set(ours), file.name


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("![a](docs/a.png)", f"![a]({RAW}docs/a.png)"),
        ("[a](docs/a.md#b)", f"[a]({BLOB}docs/a.md#b)"),
        ("[![a](a.png)](b.md)", f"[![a]({RAW}a.png)]({BLOB}b.md)"),
        ('<img src="a.png">', f'<img src="{RAW}a.png">'),
        ('<a href="a.md">', f'<a href="{BLOB}a.md">'),
        ("[a](https://b.c/d) [e](#f)", "[a](https://b.c/d) [e](#f)"),
        ("```\n[a](b.md)\n```", "```\n[a](b.md)\n```"),
    ],
)
def test_an_address_becomes_absolute(markdown: str, expected: str) -> None:
    assert publish.with_addresses(markdown, PLACES) == expected


def test_a_node_inside_a_subgraph_names_the_pack() -> None:
    node = {"type": "Ours", "properties": {"a": 1}}
    graph = {"nodes": [{"type": "Other"}], "definitions": {"subgraphs": [{"nodes": [node]}]}}
    changed = publish.with_pack(graph, "pack", {"Ours"})
    assert changed["nodes"] == [{"type": "Other"}]
    (inner,) = changed["definitions"]["subgraphs"]
    assert inner["nodes"] == [{"type": "Ours", "properties": {"a": 1, "cnr_id": "pack"}}]
    assert node["properties"] == {"a": 1}


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[t]\na = 1\n\n# next\n[u]\n", '[t]\na = 1\nk = "v"\n\n# next\n[u]\n'),
        ('[t]\nk = ""  # old\nb = 2\n', '[t]\nk = "v"\nb = 2\n'),
        ("[t]\n[u]\nk = 1\n", '[t]\nk = "v"\n[u]\nk = 1\n'),
        ("[u]\n", '[u]\n\n[t]\nk = "v"\n'),
    ],
)
def test_a_value_is_set_in_its_table_alone(toml: str, expected: str) -> None:
    assert publish._with_table(toml, "t", {"k": "v"}) == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--publisher", "Some One"),
        ("--repository", "https://gitlab.com/a/b"),
        ("--docs", "docs.example.org"),
    ],
)
def test_a_word_that_cannot_be_right_is_refused_before_anything_is_written(
    copy: Path, option: str, value: str
) -> None:
    before = (copy / "pyproject.toml").read_text()
    with pytest.raises(SystemExit) as ended:
        publish.main(["--root", str(copy), *WORDS, option, value])
    assert f"`{option}` is {value!r}" in str(ended.value.code)
    assert (copy / "pyproject.toml").read_text() == before


@pytest.mark.parametrize(
    ("repository", "is_set", "ready"),
    [("some-one/pack", True, True), ("a-fork/pack", True, False), ("some-one/pack", False, False)],
)
def test_only_the_publishers_own_repository_is_ready(
    copy: Path, capsys: pytest.CaptureFixture[str], repository: str, is_set: bool, ready: bool
) -> None:
    if is_set:
        publish.main(["--root", str(copy), *WORDS])
    capsys.readouterr()
    publish.main(["--root", str(copy), "ready", repository])
    assert capsys.readouterr().out == f"ready={str(ready).lower()}\n"
