"""What goes into the wheel and the packed node, and what the checks of them find."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "dev"))
import contents
import lint

import cnet_core

ROOT = Path(__file__).parents[2]
WHEEL = [
    *contents.WEIGHTS,
    *contents.THINGS,
    "cnet_core/__init__.py",
    "cnet_nodes-1.0.0.dist-info/entry_points.txt",
    "cnet_nodes-1.0.0.dist-info/licenses/LICENSE",
]


def tracked(*options: str) -> list[str]:
    """Returns what git tracks here."""
    command = ["git", "ls-files", *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        pytest.skip("no git checkout")
    return run.stdout.splitlines()


def test_the_packed_node_holds_what_users_need_and_nothing_else() -> None:
    left_out = {*tracked("-c", "-i", "-X", ".comfyignore")}
    packed = [name for name in tracked() if name not in left_out]
    assert contents.problems("node", packed, contents.licence_files()) == []
    assert "LICENSE" in contents.licence_files()


@pytest.mark.parametrize(
    "name",
    [
        "tests/core/test_names.py",
        "cnet_core/tests/x.py",
        "docs/dev/publish.py",
        "docs/lab/figures.py",
        "docs/lab/studies/convergence.py",
        "js/editor.test.js",
        "nodes/test_apply.py",
        "package.json",
        ".ci/run",
        "notes.txt",
    ],
)
def test_what_no_user_needs_is_found(name: str) -> None:
    assert f"{name} does not belong into a node" in contents.problems("node", [name], [])


def test_a_wheel_needs_weights_command_and_licences_and_has_no_nodes() -> None:
    assert contents.problems("wheel", WHEEL, ["LICENSE"]) == []
    assert contents.problems("wheel", [*WHEEL, "nodes/__init__.py"], []) == [
        "nodes/__init__.py does not belong into a wheel"
    ]
    assert contents.problems("wheel", WHEEL[1:], ["LICENSE", "NOTICE"]) == [
        f"the wheel has no {contents.WEIGHTS[0]}",
        "the wheel has no [^/]+\\.dist-info/licenses/NOTICE",
    ]


def test_the_library_and_the_pack_have_one_version() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert f'\nversion = "{cnet_core.__version__}"\n' in pyproject


def report(details: str = "", passed: bool = True, js: tuple[dict, ...] = ()) -> dict:
    """Returns a report as comfy-test 0.4.15 writes it."""
    syntax = {"passed": passed, "error": None if passed else "Forbidden", "details": details}
    return {"results": {"syntax": syntax, "javascript": {"findings": list(js)}}}


def test_a_finding_of_the_lint_needs_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "ANSWERED", {"a/old/": "why", "js/index.js": "why"})
    details = (
        "Use ComfyUI APIs instead:\n\na/old/x.py:\n  Line 3: x\n\na/new.py:\n  Line 7: .cuda()"
    )
    js = {"file": "index.js", "line": 8, "rule": "r", "message": "m"}
    assert lint.list_unanswered(report(details, False, (js,))) == ["a/new.py:7: .cuda()"]
    assert lint.list_unanswered(report(js=(js,))) == [
        "a/old/: nothing found any more; take its answer out"
    ]
    with pytest.raises(ValueError, match="Something else"):
        lint.list_unanswered(report("Something else", False))


def test_every_selector_of_our_style_sheet_is_ours() -> None:
    css = re.sub(r"/\*.*?\*/", "", (ROOT / "js" / "views.css").read_text(), flags=re.DOTALL)
    rules = re.findall(r"([^{}]+)\{", css)
    selectors = [s.strip() for rule in rules if "@" not in rule for s in rule.split(",")]
    assert len(selectors) > 20
    assert [s for s in selectors if not re.search(r"\.cnet-", s)] == []
