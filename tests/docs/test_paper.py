"""docs/paper.md: complete, its places and commands there, its exact numbers those that the code gives today."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import check  # noqa: E402
import claims  # noqa: E402

TEXT = (DOCS / "paper.md").read_text()
ROWS = list(check.rows(TEXT))


def test_every_row_has_a_place_a_command_and_a_measurement() -> None:
    assert len(ROWS) > 30
    assert check.problems(TEXT) == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("| a | | `cnet demo` | 1 | yes |", "lacks a place"),
        ("| a | `docs/check.py::rows` | | 1 | yes |", "lacks a place, a command"),
        ("| a | `docs/check.py::Row.nothing` | `cnet demo` | 1 | yes |", "is not there"),
        ("| a | `docs/check.py::rows` | `python docs/claims.py nothing` | 1 | yes |", "no nothing"),
        ("| a | `docs/check.py::rows` | `pytest tests/docs/test_paper.py -k nix` | 1 | y |", "nix"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(row: str, words: str) -> None:
    assert words in "; ".join(check.problems(row))


@pytest.mark.parametrize("claim", claims.ARITHMETIC, ids=lambda claim: claim.__name__)
def test_the_table_says_what_is_measured_today(claim) -> None:
    command = f"python docs/claims.py {claim.__name__}"
    (row,) = [row for row in ROWS if command in row.commands]
    assert claim() in row.measured


def test_the_pictures_of_the_page_are_there() -> None:
    names = [line.split("](")[1].rstrip(")") for line in TEXT.splitlines() if line[:2] == "!["]
    assert len(names) >= 4
    assert all((DOCS / name).is_file() for name in names)


def test_the_voxel_example_runs(tmp_path: Path) -> None:
    script = DOCS / "examples" / "voxels.py"
    subprocess.run(
        [sys.executable, script, "--quick", "--out", tmp_path], check=True, cwd=DOCS.parent
    )
    assert (tmp_path / "voxels.png").stat().st_size > 1000
