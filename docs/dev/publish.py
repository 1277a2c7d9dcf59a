"""Fills in what only the publisher of the pack knows. docs/dev/publishing.md says when to run it.

    python docs/dev/publish.py set --publisher ID --repository https://github.com/OWNER/NAME
    python docs/dev/publish.py ready OWNER/NAME

`set` writes PublisherId, Icon, Banner and the addresses into pyproject.toml, absolute addresses into README.md, and
the pack's `cnr_id` into the templates. A second run with the same words changes nothing.
`ready` prints `ready=true` if the pack may be published from that repository, else `ready=false`, for a workflow.
"""

import argparse
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ICON, BANNER = "docs/images/icon.png", "docs/images/banner.png"
#: Folders of graphs that users open.
GRAPHS = ("example_workflows", "subgraphs")
PUBLISHER = re.compile(r"[a-z0-9][a-z0-9-]*")
REPOSITORY = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
#: A relative target of a link or picture in Markdown or HTML, and what stands before it.
RELATIVE = re.compile(
    r"(!?\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\]\(|src=\"|srcset=\"|href=\")(?![a-z]+:|#|/)([^)\"\s]+)"
)


@dataclass(frozen=True)
class Places:
    """Where the pack lives."""

    publisher: str
    repository: str
    docs: str
    branch: str

    def picture(self, path: str) -> str:
        """Returns the address of a picture's bytes."""
        return f"{self.repository.replace('github.com', 'raw.githubusercontent.com')}/{self.branch}/{path}"

    def page(self, path: str) -> str:
        """Returns the address where a file is shown."""
        return f"{self.repository}/blob/{self.branch}/{path}"


def problem_of(places: Places) -> str | None:
    """Returns what is wrong with the publisher's words; None if nothing is."""
    if not PUBLISHER.fullmatch(places.publisher):
        return (
            f"`--publisher` is {places.publisher!r}; it must be the id after the @ on your page of "
            "registry.comfy.org: small letters, digits and hyphens."
        )
    if not REPOSITORY.fullmatch(places.repository):
        return f"`--repository` is {places.repository!r}; it must be https://github.com/OWNER/NAME."
    if not places.docs.startswith("https://"):
        return f"`--docs` is {places.docs!r}; it must begin with https://."
    return None


def with_publisher(pyproject: str, places: Places) -> str:
    """Returns pyproject.toml with the publisher's values; comments and everything else stay."""
    values = {
        "PublisherId": places.publisher,
        "Icon": places.picture(ICON),
        "Banner": places.picture(BANNER),
    }
    urls = {
        "Repository": places.repository,
        "Documentation": places.docs,
        "Issues": f"{places.repository}/issues",
    }
    return _with_table(_with_table(pyproject, "tool.comfy", values), "project.urls", urls)


def with_addresses(readme: str, places: Places) -> str:
    """Returns README.md with absolute addresses, which PyPI and the registry need; code blocks stay."""
    parts = re.split(r"(```.*?```)", readme, flags=re.DOTALL)
    return "".join(p if p.startswith("```") else _absolute(p, places) for p in parts)


def with_pack(graph: dict[str, Any], pack: str, ours: set[str]) -> dict[str, Any]:
    """Returns a saved graph whose nodes of ours, also in subgraphs, name the pack that a user has to install."""
    changed = dict(graph)
    if "nodes" in graph:
        changed["nodes"] = [_name_pack(node, pack, ours) for node in graph["nodes"]]
    if "definitions" in graph:
        inner = graph["definitions"].get("subgraphs", [])
        subgraphs = [with_pack(each, pack, ours) for each in inner]
        changed["definitions"] = {**graph["definitions"], "subgraphs": subgraphs}
    return changed


def set_places(places: Places, root: Path) -> list[str]:
    """Writes all of it and returns the files that changed."""
    pyproject = (root / "pyproject.toml").read_text(encoding="utf-8")
    texts = {"pyproject.toml": with_publisher(pyproject, places)}
    texts["README.md"] = with_addresses((root / "README.md").read_text(encoding="utf-8"), places)
    pack = _value(pyproject, "name")
    ours = set(json.loads((root / "locales/en/nodeDefs.json").read_text(encoding="utf-8")))
    for path in [file for folder in GRAPHS for file in sorted((root / folder).glob("*.json"))]:
        graph = with_pack(json.loads(path.read_text(encoding="utf-8")), pack, ours)
        name = path.relative_to(root).as_posix()
        texts[name] = json.dumps(graph, indent=1, ensure_ascii=path.read_bytes().isascii()) + "\n"
    return [name for name, text in texts.items() if _write(root / name, text)]


def is_ready(pyproject: str, repository: str) -> bool:
    """Whether the publisher is known and this repository, OWNER/NAME, is the one that publishes."""
    known = bool(_value(pyproject, "PublisherId"))
    return known and _value(pyproject, "Repository") == f"https://github.com/{repository}"


def main(arguments: list[str] | None = None) -> None:
    args = _parse(arguments)
    if args.command == "ready":
        text = (args.root / "pyproject.toml").read_text(encoding="utf-8")
        print(f"ready={str(is_ready(text, args.repository)).lower()}")
        return
    repository = args.repository.rstrip("/").removesuffix(".git")
    docs = args.docs or f"{repository}/tree/{args.branch}/docs"
    places = Places(args.publisher, repository, docs, args.branch)
    problem = problem_of(places)
    if problem:
        sys.exit(problem)
    changed = set_places(places, args.root)
    print("\n".join(f"changed {name}" for name in changed) or "nothing to change")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fills in what only the publisher knows.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this)")
    commands = parser.add_subparsers(dest="command", required=True)
    setting = commands.add_parser("set", help="write the publisher's values into the files")
    setting.add_argument("--publisher", required=True, metavar="ID", help="your id in the registry")
    setting.add_argument("--repository", required=True, metavar="URL", help="on GitHub")
    setting.add_argument("--docs", metavar="URL", help="default: the repository's docs folder")
    setting.add_argument("--branch", default="main", help="whose files are shown (default: main)")
    ready = commands.add_parser("ready", help="print whether this repository may publish")
    ready.add_argument("repository", metavar="OWNER/NAME")
    return parser.parse_args(arguments)


def _with_table(toml: str, table: str, values: dict[str, str]) -> str:
    """Returns TOML text with some strings set in a table, which is added at the end if it is not there."""
    found = re.search(rf"^\[{re.escape(table)}\]\n(?:(?!\[).*\n?)*", toml, re.MULTILINE)
    before, body, after = toml, f"\n[{table}]\n", ""
    if found:
        before, body, after = toml[: found.start()], found[0], toml[found.end() :]
    for key, value in values.items():
        line = f"{key} = {json.dumps(value)}\n"
        pattern = re.compile(rf"^{key} *=.*\n", re.MULTILINE)
        is_there = pattern.search(body)
        body = body.replace(is_there[0], line) if is_there else _append_line(body, line)
    return before + body + after


def _append_line(table: str, line: str) -> str:
    """Returns a table with one more line, after its last one that is neither blank nor a comment."""
    lines = table.splitlines(keepends=True)
    last = max(i for i, each in enumerate(lines) if each.strip() and not each.startswith("#"))
    return "".join([*lines[: last + 1], line, *lines[last + 1 :]])


def _value(toml: str, key: str) -> str:
    """Returns the first string that a key has, empty if it has none."""
    found = re.search(rf'^{key} *= *"([^"]*)"', toml, re.MULTILINE)
    return found[1] if found else ""


def _absolute(markdown: str, places: Places) -> str:
    """Returns Markdown without relative targets, those of a picture inside a link included."""

    def replace_target(found: re.Match[str]) -> str:
        before, target = found[1], found[2]
        is_picture = before.startswith(("![", "src=", "srcset="))
        inner = _absolute(before[1:], places) if before.startswith("[![") else before[1:]
        return before[0] + inner + (places.picture if is_picture else places.page)(target)

    return RELATIVE.sub(replace_target, markdown)


def _name_pack(node: dict[str, Any], pack: str, ours: set[str]) -> dict[str, Any]:
    if node["type"] not in ours:
        return node
    return {**node, "properties": {**node.get("properties", {}), "cnr_id": pack}}


def _write(path: Path, text: str) -> bool:
    """Writes a file whole if it differs; returns whether it did."""
    if path.read_text(encoding="utf-8") == text:
        return False
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
    return True


if __name__ == "__main__":
    main()
