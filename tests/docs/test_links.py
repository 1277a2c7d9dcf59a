"""docs/links.py finds what leads nowhere, and our pages have nothing of it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import links


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of three pages and a picture."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("# One `x.y()`\n## Same\n## Same\n<a id='own'></a>\n")
    (tmp_path / "docs" / "a picture.png").write_bytes(b"")
    (tmp_path / "js" / "docs" / "Node").mkdir(parents=True)
    (tmp_path / "js" / "docs" / "x.png").write_bytes(b"")
    (tmp_path / "js" / "docs" / "Node" / "ko.md").write_text("![x](x.png)")
    (tmp_path / "a.md").write_text("# Here")
    return tmp_path


@pytest.mark.parametrize(
    "target",
    [
        "docs/b.md",
        "docs",
        "docs/a%20picture.png",
        "#here",
        "docs/b.md#one-xy",
        "docs/b.md#same",
        "docs/b.md#same-1",
        "docs/b.md#own",
        "https://example.org/nothing.md",
        "mailto:a@b.c",
    ],
)
def test_a_link_that_leads_somewhere(root: Path, target: str) -> None:
    assert links.problem_of(target, root / "a.md", root) is None


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("docs/c.md", "is not there"),
        ("b.md", "is not there"),
        ("#nowhere", "no such heading"),
        ("docs/b.md#same-2", "no such heading"),
        ("docs/a%20picture.png#x", "no such heading"),
        ("../a.md", "out of the repository"),
        ("/docs/b.md", "out of the repository"),
    ],
)
def test_a_link_that_leads_nowhere(root: Path, target: str, words: str) -> None:
    assert words in (links.problem_of(target, root / "a.md", root) or "")


def test_links_in_every_form_are_read_and_those_in_code_are_not() -> None:
    text = (
        '[a](1.md "title") ![b](2.png) [`c`](<3.md>) <img alt="x" src="4.png">\n[d]: 5.md\n'
        "`[e](6.md)`\n```\n[f](7.md)\n```\n[![g](8.png)](9.md)"
    )
    assert sorted(links.targets(text)) == [
        f"{i}.{'png' if i in (2, 4, 8) else 'md'}" for i in (1, 2, 3, 4, 5, 8, 9)
    ]


def test_help_pages_begin_at_the_folder_that_comfyui_serves(root: Path) -> None:
    page = root / "js" / "docs" / "Node" / "ko.md"
    assert links.problems([page], root) == []
    page.write_text("![x](../x.png)")
    assert links.problems([page], root) == ["js/docs/Node/ko.md: ../x.png is not there"]


def test_every_link_of_our_pages_leads_somewhere() -> None:
    pages = links.pages()
    assert len(pages) > 40
    assert links.problems(pages) == []
