"""docs/paper.md: complete, its places and commands there, its exact numbers those that the code gives today."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import check  # noqa: E402
import claims  # noqa: E402

figures = None
if importlib.util.find_spec("matplotlib"):  # only the docs extra brings it
    import figures

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
        (
            "| a | `docs/check.py::rows` | `python docs/lab/claims.py nothing` | 1 | yes |",
            "no nothing",
        ),
        ("| a | `docs/check.py::rows` | `pytest tests/docs/test_paper.py -k nix` | 1 | y |", "nix"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(row: str, words: str) -> None:
    assert words in "; ".join(check.problems(row))


#: The rest takes minutes: `docs/check.py --run`.
CLAIMS = (*claims.ARITHMETIC, claims.sampling_share, claims.noise)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_table_says_what_is_measured_today(claim) -> None:
    command = f"python docs/lab/claims.py {claim.__name__}"
    said = [row.measured for row in ROWS if command in row.commands]
    measured = claim()
    assert any(check.agrees(measured, text) for text in said), measured


@pytest.mark.parametrize(
    ("measured", "said", "same"),
    [
        ("fresh 0.034, trained 0.019", "loss: fresh 0.034, trained 0.021", True),  # noise
        ("fresh 0.034, trained 0.019", "loss: fresh 0.034, trained 0.029", False),
        ("14: 13 of 1x1", "14: 12 of 1x1", False),
        ("cond only 17.6 %", "cond only 17.7 %", False),
        ("cond only 17.6 %", "both 17.6 %", False),
    ],
)
def test_a_table_that_says_something_else_is_found(measured: str, said: str, same: bool) -> None:
    assert check.agrees(measured, said) == same


def test_the_pictures_of_the_page_are_there() -> None:
    names = [line.split("](")[1].rstrip(")") for line in TEXT.splitlines() if line[:2] == "!["]
    assert len(names) >= 4
    assert all((DOCS / name).is_file() for name in names)


@pytest.mark.parametrize("name", figures.FIGURES if figures else [])
def test_each_figure_is_drawn(name: str, tmp_path: Path) -> None:
    figures.main([name, "--quick", "--out", str(tmp_path)])
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "command", ["python docs/examples/voxels.py", "cnet bench --training --side 256 --rounds 2"]
)
def test_what_takes_minutes_runs_in_short(command: str) -> None:
    assert any(command in row.commands for row in ROWS)
    assert check.run(command)


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        check.run("python docs/lab/claims.py nothing")
