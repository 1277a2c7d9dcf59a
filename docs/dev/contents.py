"""Checks what a wheel and a packed node hold: all that users need, nothing of tests, studies or tools.

    python docs/dev/contents.py WHEEL NODE_ZIP [--list]

`--list` prints every file with its size. `.ci/package` builds both and runs this.
"""

import argparse
import re
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Folders that no user needs, wherever they are.
FOLDERS = {
    "tests",
    "test",
    "lab",
    "studies",
    "dev",
    ".ci",
    ".github",
    "node_modules",
    "__pycache__",
}
#: Names of tests, and of what only builds or publishes.
NAMES = re.compile(r"test_.*\.py|conftest\.py|.*\.test\.js|package(-lock)?\.json|node\.zip|.*\.pyc")
WEIGHTS = [
    f"cnet_core/tiny/weights/{name}.safetensors"
    for name in ("unet", "control_net", "text", "autoencoder")
]
#: The pictures of the embedded model's world, and their licence.
THINGS = ("cnet_core/tiny/things.webp", "cnet_core/tiny/LICENSE-fluent-emoji")
#: What must be inside, as a pattern for a whole path; the top folders that may be there.
NEEDED = {
    "wheel": (*WEIGHTS, *THINGS, "cnet_core/__init__.py", r"[^/]+\.dist-info/entry_points.txt"),
    "node": (
        *WEIGHTS,
        *THINGS,
        "__init__.py",
        "pyproject.toml",
        "nodes/__init__.py",
        "js/index.js",
        r"js/views\.css",
        r"js/docs/\w+\.md",
        r"js/docs/images/\w+\.png",
        r"locales/\w+/nodeDefs\.json",
        r"example_workflows/[\w .-]+\.json",
        r"example_workflows/[\w .-]+\.jpg",
        r"subgraphs/[\w (),.]+\.json",
    ),
}
TOP = {
    "wheel": r"cnet_core|cnet_nodes-[^/]+\.dist-info",
    "node": r"__init__\.py|pyproject\.toml|(README|CHANGELOG)\.md|LICENSE.*|NOTICE.*|"
    "cnet_core|nodes|js|locales|example_workflows|subgraphs|docs",
}


def problems(kind: str, names: Iterable[str], licences: Iterable[str]) -> list[str]:
    """Returns what is too much and what is missing.

    Args:
        kind: "wheel" or "node".
        names: the paths inside.
        licences: the repository's own licence files, which must all be inside.
    """
    inside = list(names)
    found = [f"{name} does not belong into a {kind}" for name in inside if _is_foreign(kind, name)]
    folder = r"[^/]+\.dist-info/licenses/" if kind == "wheel" else ""
    needed = [*NEEDED[kind], *(folder + re.escape(name) for name in licences)]
    missing = [each for each in needed if not any(re.fullmatch(each, name) for name in inside)]
    return found + [f"the {kind} has no {each}" for each in missing]


def licence_files(root: Path = ROOT) -> list[str]:
    """Returns the licence files at the top of the repository."""
    return sorted(path.name for pattern in ("LICENSE*", "NOTICE*") for path in root.glob(pattern))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Checks what a wheel and a packed node hold.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("node", type=Path, metavar="NODE_ZIP")
    parser.add_argument("--list", action="store_true", help="print every file with its size")
    args = parser.parse_args(arguments)
    found: list[str] = []
    for kind, path in (("wheel", args.wheel), ("node", args.node)):
        with zipfile.ZipFile(path) as archive:
            files = [file for file in archive.infolist() if not file.is_dir()]
        size = sum(file.file_size for file in files) / 1e6
        packed = path.stat().st_size / 1e6
        print(f"{kind}: {len(files)} files, {size:.1f} MB, {packed:.1f} MB packed")
        if args.list:
            print("\n".join(f"{file.file_size:10} {file.filename}" for file in files))
        found += problems(kind, [file.filename for file in files], licence_files())
    print("\n".join(found) or "both hold what users need, and nothing else")
    sys.exit(bool(found))


def _is_foreign(kind: str, name: str) -> bool:
    *folders, file = name.split("/")
    top = (*folders, file)[0]
    is_known = re.fullmatch(TOP[kind], top) is not None
    return not is_known or bool(FOLDERS & {*folders}) or NAMES.fullmatch(file) is not None


if __name__ == "__main__":
    main()
