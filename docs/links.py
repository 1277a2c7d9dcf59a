"""Checks that every relative link and anchor of our pages leads somewhere.

    python docs/links.py [PAGE ...]

Addresses with a scheme (`https:`, `mailto:`) are left alone, so nothing is asked of the network.
"""

import argparse
import re
import sys
from pathlib import Path
from urllib.parse import unquote

from prose import ROOT, without_code

#: Every page of ours, in all languages.
PAGES = ("*.md", "docs/**/*.md", "js/docs/**/*.md", "cnet_core/**/*.md", ".github/**/*.md")
#: ComfyUI resolves the links of all help pages from here, those of translations too.
HELP = Path("js/docs")
TARGETS = (
    re.compile(
        r"\]\(<?([^)\s>]+)>?(?:\s+[\"'][^)]*)?\)"
    ),  # [text](target "title") and ![alt](target)
    re.compile(r"^ *\[[^\]]+\]: +(\S+)", re.MULTILINE),  # [label]: target
    re.compile(r"<[^>]+?(?:href|src)=[\"']([^\"']+)"),
)
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:|^//", re.IGNORECASE)


def targets(text: str) -> list[str]:
    """Returns what a page links to, as written; code is not read."""
    prose = re.sub(r"`[^`\n]*`", "`code`", without_code(text))
    return [found for pattern in TARGETS for found in pattern.findall(prose)]


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page: its headings by GitHub's rule, and its own `id`s and `name`s."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", without_code(text), re.MULTILINE):
        slug, count = slug_of(heading), 0
        while (name := f"{slug}-{count}" if count else slug) in found:
            count += 1
        found.add(name)
    return found | set(re.findall(r"<[^>]+?(?:id|name)=[\"']([^\"']+)", text))


def slug_of(heading: str) -> str:
    """Returns a heading's anchor as GitHub makes it: small letters, no punctuation, hyphens for spaces."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]+>", "", text)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def problem_of(target: str, page: Path, root: Path = ROOT) -> str | None:
    """Returns why a page's link leads nowhere; None if it leads somewhere or out of the repository."""
    if SCHEME.match(target):
        return None
    path, _, anchor = target.partition("#")
    inside = page.relative_to(root)
    folder = root / HELP if HELP in inside.parents else page.parent
    file = (folder / unquote(path)).resolve() if path else page.resolve()
    if path.startswith("/") or not file.is_relative_to(root.resolve()):
        return f"{target} leads out of the repository"
    if not file.exists():
        return f"{target} is not there"
    if anchor and (file.suffix != ".md" or anchor not in anchors(file.read_text(encoding="utf-8"))):
        return f"{target}: {file.name} has no such heading"
    return None


def problems(files: list[Path], root: Path = ROOT) -> list[str]:
    """Returns the broken links of some pages, with their page."""
    found: list[str] = []
    for page in files:
        links = targets(page.read_text(encoding="utf-8"))
        broken = (problem_of(link, page, root) for link in links)
        found += [f"{page.relative_to(root)}: {problem}" for problem in broken if problem]
    return found


def pages(root: Path = ROOT) -> list[Path]:
    """Returns all our pages."""
    return [path for pattern in PAGES for path in sorted(root.glob(pattern))]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Checks the relative links of our pages.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="default: all of them")
    args = parser.parse_args(arguments)
    chosen = [Path(page).resolve() for page in args.pages] or pages()
    found = problems(chosen)
    print("\n".join(found) or f"{len(chosen)} pages: every link leads somewhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
