"""docs/prose.py counts as a reader does, and our pages keep its limits."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import prose

PAGE = """\
# A heading with five words

One two three. Four [five six](a/b.md#c) seven,
eight nine!

![alt text is not read](x.png)

| a table | is not | read |
|---|---|---|

- first item of four words
- second item: `cnet bench --side 64` runs
  on the next line. Then a second sentence

```sh
cnet demo. This is code. So is this.
```

    so is this. And this.

> A quote counts as prose.
"""


def test_a_page_counted_by_hand() -> None:
    assert [prose.words(sentence) for sentence in prose.sentences(PAGE)] == [3, 6, 5, 11, 4, 5]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("It is 0.3.75 now. Next one.", [4, 2]),
        ("Use a file, e.g. Canny, or none.", [7]),
        ("h is a side. k is too.", [4, 3]),
        ("Edges, pose, depth … all of them.", [6]),
        ("It asks … Then it ends.", [2, 3]),
        ("It asks... then it ends.", [5]),
        ("Run `cn.load(a. B)` first. `x` is set.", [4, 3]),
        ("**Bold end.** Next (in brackets.) Last", [2, 3, 1]),
        ("a - b — c / d", [4]),
        ("<img src='a. B'> Only this", [2]),
        ("Is it? It is! Yes", [2, 2, 1]),
        ("1. one two\n2. three\n\n   four five", [2, 1, 2]),
        ("Text\nmore text\n# Heading\nlast", [3, 1]),
        ("- item\n\n      code. In a list", [1, 1, 3]),
        ("| no | table | counts |", []),
        ("", []),
    ],
)
def test_sentences_counted_by_hand(text: str, counts: list[int]) -> None:
    assert [prose.words(sentence) for sentence in prose.sentences(text)] == counts


def test_code_after_a_heading_is_code_and_a_continued_paragraph_is_none() -> None:
    assert prose.without_code("# H\n    code\ntext\n    text too") == "# H\n\ntext\n    text too"
    assert prose.without_code("~~~\n```\na\n~~~\nb") == "\n\n\n\nb"


def test_figures_of_twenty_sentences() -> None:
    # 1 to 20 words: the middle is between 10 and 11, and 19 is the 19th of 20, which is 95 %.
    assert prose.Lengths.of([*range(20, 0, -1)]) == prose.Lengths(20, 10.5, 19, 20)
    assert prose.Lengths.of([7]) == prose.Lengths(1, 7, 7, 7)
    assert prose.Lengths.of([]).list_broken() == []


def test_limits_themselves_are_kept() -> None:
    assert prose.Lengths(9, 15, 30, 40).list_broken() == []
    assert prose.Lengths(9, 15.5, 31, 41).list_broken() == [
        "median 15.5 > 15",
        "p95 31 > 30",
        "longest 41 > 40",
    ]


def test_a_page_fails_that_is_too_long_or_no_longer_belongs_into_the_list() -> None:
    found = {"good.md": prose.Lengths(1, 5, 5, 5), "bad.md": prose.Lengths(1, 41, 41, 41)}
    assert prose.problems(found, ("bad.md",)) == []
    assert [p.split(":")[0] for p in prose.problems(found, ())] == ["bad.md"]
    listed = prose.problems(found, ("bad.md", "good.md", "gone.md"))
    assert [p.split(":")[0] for p in listed] == ["good.md", "gone.md"]


def test_our_pages_keep_the_limits_or_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        prose.main([])
    assert ended.value.code == 0, capsys.readouterr().out
