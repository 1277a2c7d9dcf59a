"""Writes the API reference from the docstrings: every name of `cnet_core.__all__`, readable offline.

    pip install ".[docs]" && python docs/api.py [--out FOLDER]

Open FOLDER/cnet_core.html (default: build/api). Exits 1 if a public name has no docstring, if a docstring names
something of ours that is not there, or if pdoc warns. docs/dev/api.md says why it is pdoc.
"""

import argparse
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pdoc.doc
import pdoc.render

import cnet_core

ROOT = Path(__file__).parents[1]
#: `Name`, `cn.name`, `module.name(...)`: one dotted name, called or not.
REFERENCE = re.compile(r"`([A-Za-z_][\w.]*\w|[A-Za-z])(?:\([^`]*\))?`")
Doc = pdoc.doc.Doc[Any]
#: How our docstrings call the package.
PACKAGE_NAMES = {"cn": cnet_core, "cnet_core": cnet_core}


def public_modules() -> list[ModuleType]:
    """Returns the package, and the modules that it offers as they are."""
    offered = [getattr(cnet_core, name) for name in cnet_core.__all__]
    return [cnet_core, *filter(inspect.ismodule, offered)]


def load_modules() -> dict[str, pdoc.doc.Module]:
    """Returns the modules as pdoc reads them, with the `#:` comments of our constants as their docstrings."""
    found = {module.__name__: pdoc.doc.Module(module) for module in public_modules()}
    for module in found.values():
        for name, member in module.members.items():
            if isinstance(member, pdoc.doc.Variable) and not member.docstring:
                member.docstring = comment_of(name)
    return found


def comment_of(constant: str) -> str:
    """Returns the `#:` comment above a constant, in whichever of our modules sets it; empty if there is none."""
    pattern = re.compile(rf"((?:^#:.*\n)+)^{constant}\b[^=\n]*= ", re.MULTILINE)
    ours = [module for name, module in sys.modules.items() if name.startswith("cnet_core.")]
    for module in ours:
        comment = pattern.search(inspect.getsource(module)) if module.__file__ else None
        if comment:
            return re.sub(r"^#: ?", "", comment[1], flags=re.MULTILINE).strip()
    return ""


def find_undocumented(modules: dict[str, pdoc.doc.Module]) -> list[str]:
    """Returns the public names that the reference lacks, or has without a word."""
    members: dict[str, Doc] = {doc.fullname: doc for doc in modules.values()}
    for module in modules.values():
        members |= {doc.fullname: doc for doc in module.members.values()}
    names = [f"{module}.{name}" for module, doc in modules.items() for name in doc.obj.__all__]
    return [name for name in names if name not in members or not members[name].docstring.strip()]


def find_broken_references(modules: dict[str, pdoc.doc.Module]) -> list[str]:
    """Returns what docstrings name in backticks as ours although it is not there."""
    found: list[str] = []
    for module in modules.values():
        for doc, scope in _with_scopes(module):
            parameters = doc.signature.parameters if isinstance(doc, pdoc.doc.Function) else ()
            for name in sorted(set(REFERENCE.findall(doc.docstring))):
                if name.split(".")[0] not in parameters and is_broken(name, scope):
                    found.append(f"{doc.fullname}: `{name}` is not there")
    return found


def is_broken(name: str, scope: list[object]) -> bool:
    """Whether a dotted name begins like one of ours and leads nowhere.

    Args:
        name: without call and backticks.
        scope: where its first part may be found: a class, its module, the package.
    """
    first, *rest = name.split(".")
    if first in PACKAGE_NAMES:
        owner: object = PACKAGE_NAMES[first]
    else:
        holder = next((each for each in scope if _has(each, first)), None)
        if holder is None:
            return first[0].isupper()  # a small letter: an argument, or another library's
        owner = inspect.getattr_static(holder, first, None)
    for part in rest:
        if owner is None or not (inspect.ismodule(owner) or inspect.isclass(owner)):
            return False  # a value: its parts are known only when it runs
        if not _has(owner, part):
            return True
        owner = inspect.getattr_static(owner, part, None)
    return False


def write(modules: dict[str, pdoc.doc.Module], out: Path) -> None:
    """Writes one HTML file for each module, and an index that leads to the first."""
    pdoc.render.configure(docformat="google", show_source=False, search=False)
    for name, module in modules.items():
        path = out / (name.replace(".", "/") + ".html")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pdoc.render.html_module(module, modules), encoding="utf-8")
    (out / "index.html").write_text(pdoc.render.html_index(modules), encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Writes the API reference from the docstrings.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "api", metavar="FOLDER")
    args = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        modules = load_modules()
        faults = [f"{name} has no docstring" for name in find_undocumented(modules)]
        faults += find_broken_references(modules)
        write(modules, args.out)
    count = sum(len(module.obj.__all__) for module in modules.values())
    print("\n".join(faults) or f"{count} public names: {args.out / 'cnet_core.html'}")
    sys.exit(bool(faults))


def _with_scopes(module: pdoc.doc.Module) -> Iterator[tuple[Doc, list[object]]]:
    """Yields a module, its members and their own members, each with the places where its names may be."""
    yield module, [module.obj, cnet_core]
    for member in module.members.values():
        scope: list[object] = [module.obj, cnet_core]
        if isinstance(member, pdoc.doc.Class | pdoc.doc.Function):
            scope.insert(0, inspect.getmodule(member.obj))
        if isinstance(member, pdoc.doc.Class):
            scope.insert(0, member.obj)
            own = (m for m in member.own_members if m.name[0] != "_" or m.name == "__init__")
            yield from ((each, scope) for each in own)
        yield member, scope


def _has(owner: object, name: str) -> bool:
    """Whether a module or class has a name; a field without a default is only annotated."""
    classes = inspect.getmro(owner) if inspect.isclass(owner) else ()
    annotated = any(name in inspect.get_annotations(each) for each in classes)
    return annotated or inspect.getattr_static(owner, name, None) is not None


if __name__ == "__main__":
    main()
