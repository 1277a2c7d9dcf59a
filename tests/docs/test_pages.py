"""The users' pages: one form for all tasks, and examples whose names and options exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cnet_core as cn
from cnet_core.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: The pages that answer a task.
TASKS = (
    "prompt_in_charge",
    "follow_loosely",
    "tiled_upscale",
    "no_effect",
    "files",
    "speed",
    "training",
    "python",
)
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
COMMAND = re.compile(
    r"\bcnet (demo|identify|convert|transfer|extract-lora|merge|train|bench)\b([^`#\n]*)"
)


CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = [(name, code) for name, page in PAGES.items() for code in CODE.findall(page)]
COMMANDS = sorted({found for page in PAGES.values() for found in COMMAND.findall(page)})


@pytest.mark.parametrize("name", TASKS)
def test_a_task_opens_with_a_picture_then_steps_rule_and_limits(name: str) -> None:
    title, picture = PAGES[name].split("\n\n")[:2]
    headings = re.findall(r"^## (.+)", PAGES[name], re.MULTILINE)
    places = [
        next(i for i, heading in enumerate(headings) if heading.startswith(start))
        for start in ("Three steps", "The rule", "The limits")
    ]
    assert title.startswith("# ")
    assert picture.startswith("![")
    assert places[0] == 0
    assert places == sorted(places)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_three_steps(name: str) -> None:
    steps = PAGES[name].split("## Three steps")[1].split("\n## ")[0]
    assert re.findall(r"^(\d)\. ", steps, re.MULTILINE) == ["1", "2", "3"]


def test_the_index_leads_to_every_page() -> None:
    pages = {name for name in PAGES if f"]({name}.md" not in PAGES["index"]}
    assert pages == {"index"}


@pytest.mark.parametrize(("name", "code"), EXAMPLES)
def test_examples_compile_and_their_names_exist(name: str, code: str) -> None:
    compile(code, name, "exec")
    for path in re.findall(r"\bcn((?:\.[A-Za-z_]\w*)+)", code):
        owner: object = cn
        for part in path[1:].split("."):
            owner = getattr(owner, part)


@pytest.mark.parametrize(("command", "arguments"), COMMANDS)
def test_commands_and_their_options_exist(
    command: str, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert [o for o in re.findall(r"--[a-z][\w-]*", arguments) if o not in text] == []


def product_texts() -> Iterator[str]:
    """Yields every text in the code of library and nodes, with `…` for what it fills in."""
    for path in [*ROOT.glob("cnet_core/**/*.py"), *ROOT.glob("nodes/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else "…" for part in node.values
                ]
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_quotes_messages_that_exist() -> None:
    headings = re.findall(r"^### (.+)", PAGES["troubleshooting"], re.MULTILINE)
    quotes = [quote for heading in headings for quote in re.findall(r'"([^"]+)"', heading)]
    pieces = [piece.strip(" .,") for quote in quotes for piece in re.split(r"…|`\w+`", quote)]
    texts = "\n".join(product_texts())
    assert len(quotes) > 8
    assert [piece for piece in pieces if piece not in texts] == []


def test_contributing_names_files_that_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [
        name for name in re.findall(r"`([^` ]+)`", page) if "/" in name or name.endswith(".md")
    ]
    paths = [name for name in named if "NAME" not in name and not name.startswith("ComfyUI/")]
    assert len(paths) > 12
    assert [
        path for path in paths if path not in ("ja.md", "zh.md") and not (ROOT / path).exists()
    ] == []
