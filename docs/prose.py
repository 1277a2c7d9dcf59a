"""Counts the words of our sentences, page by page, and checks them against limits.

    python docs/prose.py [PAGE ...] [--worst N]

Only prose counts: no code blocks, tables, headings or pictures. Each list item is a block of its own, and a sentence
never reaches past its block. A link counts as its text. A word is whatever stands between two spaces and holds a
letter or a digit.
`--worst N` also prints each page's N longest sentences. Exits 1 if a page breaks a limit and is not in NOT_YET.
"""

import argparse
import math
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: What a page's sentences may have at most, in words.
LIMITS = {"median": 15, "p95": 30, "longest": 40}
#: The pages for users and contributors: at the top, docs without its folders, and the help pages that ComfyUI shows.
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "js/docs/*.md")
#: Pages that do not meet the limits yet. The check fails when one of them does, so that this list only gets shorter.
NOT_YET: tuple[str, ...] = ()

ABBREVIATIONS = ("e.g.", "i.e.", "cf.", "vs.", "etc.", "fig.", "no.")
FENCE = re.compile(r"^ *(```|~~~)")
LIST_ITEM = re.compile(r"^ *([-*+]|\d+[.)]) +")
#: The end of a sentence: a mark, what closes after it, a space. An ellipsis before a small letter is none.
SENTENCE_END = re.compile(r"(?:(?<!\.\.)[.!?]|(?:…|\.\.\.)(?=\W+[^a-z\W]))[\"')\]*_”]*\s+")


@dataclass(frozen=True)
class Lengths:
    """How long the sentences of one page are, in words."""

    sentences: int
    median: float
    p95: int
    longest: int

    @classmethod
    def of(cls, counts: list[int]) -> "Lengths":
        """Returns the figures of some sentences; the percentile is the nearest rank."""
        if not counts:
            return cls(0, 0, 0, 0)
        ordered = sorted(counts)
        rank = math.ceil(0.95 * len(ordered))
        return cls(len(ordered), statistics.median(ordered), ordered[rank - 1], ordered[-1])

    def list_broken(self) -> list[str]:
        """Returns which limits they break, in words."""
        found = ((name, getattr(self, name), limit) for name, limit in LIMITS.items())
        return [f"{name} {value:g} > {limit}" for name, value, limit in found if value > limit]


def without_code(text: str) -> str:
    """Returns a page with its code blocks, fenced or indented, replaced by blank lines."""
    kept: list[str] = []
    above, last, fence = "", "#", None  # the line above, the last one with text, the open fence
    for line in text.splitlines():
        mark = FENCE.match(line)
        is_code = fence is not None or mark is not None or _is_indented_code(line, above, last)
        if mark and fence in (None, mark[1]):
            fence = mark[1] if fence is None else None
        kept.append("" if is_code else line)
        above = kept[-1]
        last = line if line.strip() and fence is None else last
    return "\n".join(kept)


def blocks(text: str) -> Iterator[str]:
    """Yields the paragraphs and list items of a page, each as one line of prose."""
    text = re.sub(r"<!--.*?-->|<table.*?</table>", "", without_code(text), flags=re.DOTALL)
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        line = re.sub(r"^ *(> ?)+", "", line)
        ends = not line.strip() or line.lstrip().startswith(("|", "#"))
        if ends or LIST_ITEM.match(line) or set(line.strip()) <= set("=-*_"):
            if block:
                yield plain(" ".join(block))
            block = []
        if not ends:
            block.append(LIST_ITEM.sub("", line).strip())


def plain(markdown: str) -> str:
    """Returns a block as a reader sees it: no pictures, links as their text, no HTML."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", markdown)
    text = re.sub(r"\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])", r"\1", text)
    return re.sub(r"`[^`]*`|</?[a-zA-Z][^>]*>", _plain_code, text)


def sentences(text: str) -> list[str]:
    """Returns the sentences of a page."""
    found: list[str] = []
    for block in blocks(text):
        begin = 0
        for end in SENTENCE_END.finditer(block):
            if not block[: end.end()].rstrip().lower().endswith(ABBREVIATIONS):
                found.append(block[begin : end.end()].strip())
                begin = end.end()
        found.append(block[begin:])
    return [sentence for sentence in found if words(sentence)]


def words(sentence: str) -> int:
    """Returns how many words a sentence has."""
    return sum(any(c.isalnum() for c in word) for word in sentence.split())


def lengths(text: str) -> Lengths:
    """Returns how long the sentences of a page are."""
    return Lengths.of([words(sentence) for sentence in sentences(text)])


def pages(root: Path = ROOT) -> list[str]:
    """Returns the pages for users, relative to the repository."""
    found = [path for pattern in PAGES for path in sorted(root.glob(pattern))]
    return [path.relative_to(root).as_posix() for path in found]


def problems(found: dict[str, Lengths], not_yet: tuple[str, ...] = NOT_YET) -> list[str]:
    """Returns which pages break a limit, and which no longer belong into `not_yet`."""
    broken = {page: length.list_broken() for page, length in found.items()}
    new = [f"{page}: {', '.join(b)}" for page, b in broken.items() if b and page not in not_yet]
    done = [page for page in not_yet if not broken.get(page)]
    return new + [f"{page}: keeps the limits or is gone; take it out of NOT_YET" for page in done]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Counts the words of our sentences, page by page.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="default: all pages for users")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="print the N longest")
    args = parser.parse_args(arguments)
    chosen = args.pages or pages()
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in chosen}
    found = {page: lengths(text) for page, text in texts.items()}
    print(f"{'page':40} sentences  median  p95  longest")
    for page, one in found.items():
        print(f"{page:40} {one.sentences:9} {one.median:7g} {one.p95:4} {one.longest:8}")
        for sentence in sorted(sentences(texts[page]), key=words, reverse=True)[: args.worst]:
            print(f"    {words(sentence):3}  {sentence}")
    faults = problems(found, tuple(page for page in NOT_YET if page in chosen or not args.pages))
    print("\n".join(faults) or "every page keeps the limits, or is in NOT_YET")
    sys.exit(bool(faults))


def _plain_code(found: re.Match[str]) -> str:
    """Returns inline code without marks that would end a sentence, and a space for an HTML tag."""
    return re.sub(r"[.!?…](?=\s)", "", found[0]) if found[0][0] == "`" else " "


def _is_indented_code(line: str, above: str, last: str) -> bool:
    """Whether a line is code by its four spaces: not right after text, and not in a list."""
    if not line.startswith("    ") or not line.strip():
        return False
    follows_text = above.strip() and not above.startswith("#")
    in_list = LIST_ITEM.match(last) or re.match("  ?[^ ]|   [^ ]", last)
    return not follows_text and not in_list


if __name__ == "__main__":
    main()
