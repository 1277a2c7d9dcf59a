"""Checks docs/paper.md: every section has a command that exists, and every `path::name` is there.

    python docs/check.py [--lines] [--run]

`--lines` prints each place as file:line. `--run` runs every command except the tests, which the README's command runs.
Commands that take minutes run in a short form.
tests/docs/test_paper.py does both, and compares what docs/lab/claims.py measures with the page.
"""

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "docs" / "paper.md"
#: Decimals -> by how much a measurement may differ from the page.
TOLERANCE = {3: 0.003}
TESTS = "pytest"
#: How a command begins -> what makes it short and writes to OUT.
SHORT = {
    "cnet demo": "--steps 1 --out OUT",
    "cnet bench": "--short --width 0.1 --side 64",
    "python docs/lab/evaluate.py": "--count 1",
    "python docs/lab/figures.py": "--quick --out OUT",
    "python docs/examples/voxels.py": "--quick --out OUT",
    "python docs/lab/studies/convergence.py": "--steps 0 --out OUT",
    "python docs/lab/claims.py": "",
}


#: A field of a section: `- **Code:** text`, up to the next field or a blank line.
FIELD = re.compile(r"^- \*\*(\w+):\*\* (.+?)(?=\n- \*\*|\n\n|\Z)", re.MULTILINE | re.DOTALL)
FIELDS = ("Claim", "Code", "Command", "Result", "Agrees")


@dataclass(frozen=True)
class Section:
    """One claim of the paper, as docs/paper.md answers it; `fields` has a text by each name of FIELDS."""

    title: str
    fields: Mapping[str, str]

    @property
    def places(self) -> list[str]:
        return self._code("Code")

    @property
    def commands(self) -> list[str]:
        return self._code("Command")

    @property
    def result(self) -> str:
        return self.fields.get("Result", "")

    def _code(self, field: str) -> list[str]:
        return re.findall(r"`([^`]+)`", self.fields.get(field, ""))


def sections(text: str) -> Iterator[Section]:
    """Yields the sections of the page: one for each heading of the third level."""
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        fields = {name: " ".join(words.split()) for name, words in FIELD.findall(body)}
        yield Section(title, fields)


def line_of(place: str) -> int | None:
    """Returns the line where `path::name` or `path::Class.name` begins; None if it is not there."""
    path, _, name = place.partition("::")
    if not (ROOT / path).is_file():
        return None
    node: ast.AST | None = ast.parse((ROOT / path).read_text())
    for part in name.split("."):
        node = next((n for n in getattr(node, "body", []) if part in _names(n)), None)
        if node is None:
            return None
    return node.lineno


def problem_of(command: str) -> str | None:
    """Returns what is wrong with a command; None if it would run."""
    if not command.startswith((TESTS, *SHORT)):
        return "it has no short form in docs/check.py"
    words = shlex.split(command)
    files = [ROOT / word for word in words if word.endswith(".py")]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        return f"no file {missing[0]}"
    if words[0] == TESTS:
        return _test_problem(words, files)
    if words[:2] == ["python", "-m"]:
        module = ROOT / (words[2].replace(".", "/") + ".py")
        return None if module.is_file() else f"no module {words[2]}"
    if words[:2] == ["python", "docs/lab/claims.py"] or words[:2] == [
        "python",
        "docs/lab/figures.py",
    ]:
        source = files[0].read_text()
        unknown = [word for word in words[2:] if f"def {word}(" not in source]
        return f"{words[1]} has no {unknown[0]}" if unknown else None
    return None


def problems(text: str) -> list[str]:
    """Returns what is wrong with the sections."""
    found: list[str] = []
    for section in sections(text):
        missing = [name for name in FIELDS if name not in section.fields]
        missing += [] if section.places else ["a place in the code"]
        missing += [] if section.commands else ["a command in backticks"]
        found += [f"{section.title!r} lacks {', '.join(missing)}"] if missing else []
        found += [f"{place} is not there" for place in section.places if line_of(place) is None]
        found += [f"`{c}`: {problem_of(c)}" for c in section.commands if problem_of(c)]
    return found


def short(command: str, out: str) -> list[str]:
    """Returns the words of a command's short form, for this Python; what it writes goes into the folder `out`."""
    begin = next(begin for begin in SHORT if command.startswith(begin))
    words = [*shlex.split(command), *SHORT[begin].replace("OUT", out).split()]
    modules = {"cnet": ["-m", "cnet_core.cli"], "python": []}
    return [sys.executable, *modules[words[0]], *words[1:]]


def run(command: str) -> str:
    """Runs a command's short form and returns what it prints.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path}
    with tempfile.TemporaryDirectory() as out:
        words = short(command, out)
        return subprocess.run(words, check=True, cwd=ROOT, env=env, stdout=-1, text=True).stdout


def agrees(measured: str, said: str) -> bool:
    """Whether a text holds what was measured, all words alike and every number within TOLERANCE."""
    number = r"\d+\.?\d*"
    pattern = f"({number})".join(map(re.escape, re.split(number, measured)))
    found = re.search(pattern, said)
    pairs = zip(re.findall(number, measured), found.groups() if found else (), strict=False)
    return found is not None and all(_close(a, b) for a, b in pairs)


def run_all(text: str) -> list[str]:
    """Runs every command of the page once, except tests; returns the claims whose result has changed."""
    found: list[str] = []
    said: dict[str, list[str]] = {}  # a command may be in several sections
    for section in sections(text):
        for command in section.commands:
            if not command.startswith(TESTS):
                said.setdefault(command, []).append(section.result)
    for command, results in said.items():
        begin = time.monotonic()
        name, _, claim = run(command).strip().partition(": ")
        print(f"{time.monotonic() - begin:5.0f} s  {command}", flush=True)
        is_claim = command.startswith("python docs/lab/claims.py")
        if is_claim and not any(agrees(claim, one) for one in results):
            found.append(f"{name} is {claim!r} today, and {results} on the page")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks docs/paper.md.")
    parser.add_argument("--lines", action="store_true", help="print each place as file:line")
    parser.add_argument(
        "--run", action="store_true", help="run every command except the tests, in a short form"
    )
    args = parser.parse_args()
    text = PAPER.read_text(encoding="utf-8")
    if args.lines:
        for section in sections(text):
            places = ", ".join(f"{p.partition('::')[0]}:{line_of(p)}" for p in section.places)
            print(f"{places}  {section.title}")
    found = problems(text)
    if args.run and not found:
        found = run_all(text)
    print("\n".join(found) or f"docs/paper.md: {len(list(sections(text)))} sections in order")
    sys.exit(bool(found))


def _close(a: str, b: str) -> bool:
    """Whether two numbers of as many decimals differ by little, which other versions of torch may bring."""
    digits = len(a.partition(".")[2])
    same_form = digits == len(b.partition(".")[2])
    return same_form and abs(float(a) - float(b)) <= TOLERANCE.get(digits, 0) + 1e-9


def _names(node: ast.AST) -> set[str]:
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return {getattr(node, "name", "")} | {t.id for t in targets if isinstance(t, ast.Name)}


def _test_problem(words: list[str], files: list[Path]) -> str | None:
    """Whether `-k` picks at least one test of the files."""
    if "-k" not in words:
        return None
    picks = words[words.index("-k") + 1].split(" or ")
    tests = re.findall(r"^def (test_\w+)", "".join(f.read_text() for f in files), re.MULTILINE)
    lost = [pick for pick in picks if not any(pick in test for test in tests)]
    return f"no test has {lost[0]!r} in its name" if lost else None


if __name__ == "__main__":
    main()
