"""Runs comfy-test's lint on a pack's folder and fails on every finding that has no answer here.

python docs/dev/lint.py FOLDER
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: File, or folder with a slash -> why its findings stand. docs/dev/publishing.md has the longer answers.
ANSWERED = {
    "cnet_core/tiny/": "the embedded model's own, 1 MB, behind ComfyUI's VAE and CLIP, which move it",
    "cnet_core/bench/training_memory.py": "it counts what a step of `cnet train` holds, so it computes as that does",
    "cnet_core/training/": "training runs outside ComfyUI too; mixed precision is the user's setting",
    "js/index.js": "the style sheet is a file; tests/docs/test_packaging.py checks that every selector is ours",
}


@dataclass(frozen=True)
class Finding:
    """What the lint has against one line."""

    file: str
    line: int
    says: str


def findings(report: dict[str, Any]) -> Iterator[Finding]:
    """Yields the findings of a report in JSON, warnings included.

    Raises:
        ValueError: a check failed and says nothing that we can read.
    """
    results = report["results"]
    for each in results["javascript"].get("findings", []):
        yield Finding(f"js/{each['file']}", each["line"], f"{each['rule']}: {each['message']}")
    syntax = results["syntax"]
    details = syntax["details"] or ""
    found = [_of_block(block) for block in re.split(r"\n\n+", details) if "  Line " in block]
    yield from (finding for block in found for finding in block)
    if not syntax["passed"] and not any(found):
        raise ValueError(f"The lint failed: {syntax['error']}\n{details}")


def list_unanswered(report: dict[str, Any]) -> list[str]:
    """Returns the findings without an answer, and the answers without a finding."""
    found = list(findings(report))
    answers = {finding: _answer_to(finding.file) for finding in found}
    new = [f"{f.file}:{f.line}: {f.says}" for f, answer in answers.items() if answer is None]
    gone = sorted(ANSWERED.keys() - {*answers.values()})
    return new + [f"{name}: nothing found any more; take its answer out" for name in gone]


def main(folder: str) -> None:
    command = ["comfy-test", "lint", folder, "--json"]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    report = json.loads(run.stdout)
    open_ones = list_unanswered(report)
    count = len(list(findings(report)))
    print("\n".join(open_ones) or f"comfy-test's lint: {count} findings, all answered")
    sys.exit(bool(open_ones))


def _answer_to(file: str) -> str | None:
    """Returns the key in ANSWERED for a file; None if there is none."""
    fits = (key for key in ANSWERED if file == key or (key[-1] == "/" and file.startswith(key)))
    return next(fits, None)


def _of_block(block: str) -> list[Finding]:
    """Returns the findings of one file: its name and a colon, then a line for each."""
    name = re.search(r"^(\S+\.py):$", block, re.MULTILINE)
    lines = re.findall(r"^ +Line (\d+)(?:, col \d+)?: (.+)$", block, re.MULTILINE)
    return [Finding(name[1] if name else "?", int(line), says) for line, says in lines]


if __name__ == "__main__":
    main(sys.argv[1])
