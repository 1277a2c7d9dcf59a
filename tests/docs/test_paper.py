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
SECTIONS = list(check.sections(TEXT))


GOOD = """### A claim
- **Claim:** what the paper says.
- **Code:** `docs/check.py::sections`
- **Command:** `cnet demo`
- **Result:** two lines
  of words.
- **Agrees:** yes.

A picture, and more text.
"""


def test_every_section_has_its_fields_and_they_are_right() -> None:
    assert len(SECTIONS) > 30
    assert check.problems(TEXT) == []


def test_a_section_is_read() -> None:
    (section,) = check.sections(GOOD)
    assert (section.title, section.places, section.commands) == (
        "A claim",
        ["docs/check.py::sections"],
        ["cnet demo"],
    )
    assert section.result == "two lines of words."
    assert check.problems(GOOD) == []


@pytest.mark.parametrize(
    ("now", "then", "words"),
    [
        ("- **Claim:** what the paper says.\n", "", "'A claim' lacks Claim"),
        ("- **Result:** two lines\n  of words.\n", "", "lacks Result"),
        ("- **Agrees:** yes.\n", "", "lacks Agrees"),
        ("`docs/check.py::sections`", "nowhere", "lacks a place in the code"),
        ("`cnet demo`", "none", "lacks a command"),
        ("check.py::sections", "check.py::Section.nothing", "is not there"),
        ("cnet demo", "python docs/lab/claims.py nothing", "no nothing"),
        ("cnet demo", "pytest tests/docs/test_paper.py -k nix", "nix"),
    ],
)
def test_a_wrong_section_is_found(now: str, then: str, words: str) -> None:
    assert now in GOOD
    assert words in "; ".join(check.problems(GOOD.replace(now, then)))


#: The rest takes minutes: `docs/check.py --run`.
CLAIMS = (*claims.ARITHMETIC, claims.sampling_share, claims.noise)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_the_page_says_what_is_measured_today(claim) -> None:
    command = f"python docs/lab/claims.py {claim.__name__}"
    said = [section.result for section in SECTIONS if command in section.commands]
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
def test_a_page_that_says_something_else_is_found(measured: str, said: str, same: bool) -> None:
    assert check.agrees(measured, said) == same


def test_the_pictures_of_the_page_are_there() -> None:
    names = [line.split("](")[1].rstrip(")") for line in TEXT.splitlines() if line[:2] == "!["]
    assert len(names) >= 4
    assert all((DOCS / name).is_file() for name in names)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name == "costs" else [])
        for name in (figures.FIGURES if figures else [])
    ],
)
def test_each_figure_is_drawn(name: str, tmp_path: Path) -> None:
    figures.main([name, "--quick", "--out", str(tmp_path)])
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_a_command_runs() -> None:
    name = claims.ARITHMETIC[0].__name__
    assert check.run(f"python docs/lab/claims.py {name}").startswith(f"{name}: ")


def test_a_short_form_is_faster_and_writes_elsewhere() -> None:
    """`docs/check.py --run` runs them all."""
    words = check.short("python docs/examples/voxels.py", "folder")
    assert words[1:] == ["docs/examples/voxels.py", "--quick", "--out", "folder"]
    assert check.short("cnet bench --memory", "folder")[1:4] == ["-m", "cnet_core.cli", "bench"]


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        check.run("python docs/lab/claims.py nothing")
