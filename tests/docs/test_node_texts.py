"""The locales and help pages say what the nodes say, in every language."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "dev"))
import node_texts

ROOT = Path(__file__).parents[2]
TEXTS: dict[str, Any] = {
    "display_name": "Bars",
    "description": "Shows bars.",
    "inputs": {"base": {"name": "base", "tooltip": "A number."}},
    "outputs": {"0": {"name": "scales", "tooltip": "For the net."}},
}
TRANSLATIONS = tuple(language for language in node_texts.HEADINGS if language != "en")


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Runs the command that writes the texts."""
    command = [sys.executable, str(ROOT / "docs" / "dev" / "node_texts.py"), *options]
    return subprocess.run(command, capture_output=True, text=True)


def texts_of(language: str) -> dict[str, Any]:
    """Returns a language's file."""
    path = ROOT / "locales" / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Returns a copy of what the command reads and writes."""
    for folder in ("nodes", "locales", "js/docs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "cnet_core").symlink_to(ROOT / "cnet_core")
    return tmp_path


def test_the_committed_texts_are_the_schemas_own() -> None:
    ended = run("--check")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_new_tooltip_reaches_the_locale_and_the_page_of_help(copy: Path) -> None:
    node, page, locale = (
        copy / name
        for name in ("nodes/apply.py", "js/docs/ApplyControlNet.md", "locales/en/nodeDefs.json")
    )
    node.write_text(node.read_text().replace("0 switches it off.", "0 turns it off."))
    assert run("--root", str(copy), "--check").returncode == 1
    assert "turns it off" not in page.read_text()
    written = run("--root", str(copy)).stdout.splitlines()
    assert sorted(written) == [f"{path.relative_to(copy)} written" for path in (page, locale)]
    assert "- `strength`: How strongly to follow the picture. 0 turns it off.\n" in page.read_text()
    tooltip = json.loads(locale.read_text())["ApplyControlNet"]["inputs"]["strength"]["tooltip"]
    assert tooltip == "How strongly to follow the picture. 0 turns it off."


def test_a_key_that_a_translation_lacks_is_named(copy: Path) -> None:
    locale = copy / "locales/ko/nodeDefs.json"
    texts = json.loads(locale.read_text(encoding="utf-8"))
    del texts["ApplyControlNet"]["inputs"]["strength"]
    locale.write_text(json.dumps(texts))
    ended = run("--root", str(copy), "--check")
    assert ended.returncode == 1
    assert ended.stderr == "locales/ko/nodeDefs.json: ApplyControlNet/inputs/strength: missing\n"


@pytest.mark.parametrize(
    ("changes", "faults"),
    [
        ({}, []),
        ({"description": ""}, ["description: no text"]),
        ({"outputs": {}}, ["outputs/0: missing"]),
        ({"more": "x"}, ["more: not in the schema"]),
        ({"inputs": {"base": {"name": "b"}}}, ["inputs/base/tooltip: missing"]),
    ],
)
def test_keys_of_translations(changes: dict[str, Any], faults: list[str]) -> None:
    assert [*node_texts.missing_keys(TEXTS, {**TEXTS, **changes})] == faults


def test_a_page_of_help() -> None:
    page = node_texts.help_page("Bars", TEXTS, "Drag them.\n\nOr type.", "ko")
    assert page == (
        "# Bars\n\nShows bars.\n\n![Bars 노드의 입력, 설정, 출력](images/Bars.png)\n\nDrag them.\n\nOr type.\n\n"
        "## 입력\n\n- base (`base`): A number.\n\n## 출력\n\n- scales: For the net.\n"
    )


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_translations_are_translations(language: str) -> None:
    own, theirs = texts_of("en"), texts_of(language)
    for node, texts in own.items():
        assert theirs[node]["description"] != texts["description"]
        for name, entry in texts.get("inputs", {}).items():
            assert theirs[node]["inputs"][name]["tooltip"] != entry["tooltip"], (node, name)


def test_every_picture_of_a_page_of_help_is_there() -> None:
    """Its address counts from js/docs, wherever the page is."""
    docs = ROOT / "js" / "docs"
    for page in docs.rglob("*.md"):
        pictures = re.findall(r"!\[.*\]\((.+)\)", page.read_text(encoding="utf-8"))
        assert len(pictures) == 1, page
        assert (docs / pictures[0]).is_file(), page
