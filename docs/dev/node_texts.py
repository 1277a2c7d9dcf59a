"""Writes the texts that repeat the nodes' schemas: the English locale, and most of every help page.

    python docs/dev/node_texts.py [--check] [--root DIR]

Run it after every change of a name, tooltip or description in nodes/, and after every change in locales/. It needs no
ComfyUI. The other locales are translated by hand, with the keys of the English one. `--check` writes nothing, lists the
files that are out of date, and exits 1 if there are any.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schema_recorder import ROOT, Schema, read_schemas

#: Language -> the headings of a help page.
HEADINGS = {
    "en": ("Inputs", "Outputs"),
    "ko": ("입력", "출력"),
    "ja": ("入力", "出力"),
    "zh": ("输入", "输出"),
}
#: Language -> the colon between a name and its text, where it is not ": ". Chinese has a full-width colon.
COLONS = {"zh": "\uff1a"}
#: The part of a help page that is written by hand: from the picture's line to the first heading after it.
BY_HAND = re.compile(r"^!\[.*\]\(.*\)\n+(.+?)\s*(?:^## |\Z)", re.MULTILINE | re.DOTALL)

Texts = Mapping[str, Any]
#: Language -> node -> what its picture shows; "" for nodes with nothing but sockets and widgets.
SHOWN = {
    "en": {
        "": "The node {title} with its inputs, settings and outputs",
        "BlockScaleSchedule": "A bar for each block rises from fine detail to layout; below is a curve over the run",
        "CFGHintRouting": "A diagram shows how much of the hint goes into the prompt and into the negative prompt",
        "ControlXRay": "A grid shows by block and step how strong the control was, for both prompts",
        "TrainControlNet": "The node {title} with its pictures, captions and numbers",
    },
    "ko": {
        "": "{title} 노드의 입력, 설정, 출력",
        "BlockScaleSchedule": "블록마다 막대 하나가 전체 배치로 갈수록 높아지고, 아래에 실행 전체의 곡선이 있습니다",
        "CFGHintRouting": "힌트가 프롬프트와 부정 프롬프트에 얼마나 들어가는지 보여 주는 도표",
        "ControlXRay": "블록과 단계별로 두 프롬프트의 제어 세기를 보여 주는 격자",
        "TrainControlNet": "{title} 노드의 그림, 설명문, 숫자 입력",
    },
    "ja": {
        "": "{title} ノードの入力、設定、出力",
        "BlockScaleSchedule": "UNet のブロックごとの棒が細部から構図へ高くなり、下に実行全体の曲線があります",
        "CFGHintRouting": "ヒントがプロンプトとネガティブプロンプトにどれだけ入るかを示す図",
        "ControlXRay": "ブロックとステップごとに、両方のプロンプトの制御の強さを示す格子",
        "TrainControlNet": "{title} ノードの画像、キャプション、数値の入力",
    },
    "zh": {
        "": "{title} 节点的输入、设置和输出",
        "BlockScaleSchedule": "从细节到布局逐渐升高的柱状图和下方的运行曲线",
        "CFGHintRouting": "示意图显示提示图有多少进入正面提示词和负面提示词",
        "ControlXRay": "网格按块和步显示两个提示词中控制的强度",
        "TrainControlNet": "{title} 节点的图片、描述和数值输入",
    },
}


def node_texts(schema: Schema) -> dict[str, Any]:
    """Returns a node's texts in ComfyUI's form for locales."""
    inputs = {each.id: {"name": each.id, "tooltip": each.tooltip} for each in schema.inputs}
    outputs = [{"name": each.display_name, "tooltip": each.tooltip} for each in schema.outputs]
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "search_aliases": schema.search_aliases,
        **({"inputs": inputs} if inputs else {}),
        "outputs": {str(i): output for i, output in enumerate(outputs)},
    }


def missing_keys(texts: Any, translated: Any, path: str = "") -> Iterator[str]:
    """Yields the keys that a translation lacks, has in excess, or leaves empty."""
    if not isinstance(texts, dict):
        if not translated:
            yield f"{path}: no text"
        return
    for key in sorted({*texts, *translated}):
        inner = f"{path}/{key}".lstrip("/")
        if key not in texts or key not in translated:
            yield f"{inner}: {'missing' if key in texts else 'not in the schema'}"
        else:
            yield from missing_keys(texts[key], translated[key], inner)


def help_page(node: str, texts: Texts, by_hand: str, language: str) -> str:
    """Returns a help page: everything but the paragraphs `by_hand` repeats `texts`."""
    title = texts["display_name"]
    head = [
        f"# {title}",
        texts["description"],
        f"![{alt_text(node, title, language)}](images/{node}.png)",
        by_hand,
    ]
    inputs = [_input_line(key, text, language) for key, text in texts.get("inputs", {}).items()]
    outputs = [_output_line(text, language) for text in texts["outputs"].values()]
    for heading, lines in zip(HEADINGS[language], (inputs, outputs), strict=True):
        head += [f"## {heading}", "\n".join(lines)] if lines else []
    return "\n\n".join(head) + "\n"


def alt_text(node: str, title: str, language: str) -> str:
    """Returns what a node's picture shows, for those who cannot see it."""
    return SHOWN[language][node if node in SHOWN[language] else ""].format(title=title)


def changed_files(root: Path, schemas: list[Schema]) -> dict[Path, str]:
    """Returns the files that differ from the schemas and locales, with the text they should have.

    Raises:
        ValueError: a translation has other keys than the English texts, or a help page has no text of its own.
    """
    english = {schema.node_id: node_texts(schema) for schema in schemas}
    english = {node: english[node] for node in sorted(english)}
    files = {_locale(root, "en"): json.dumps(english, indent=2, ensure_ascii=False) + "\n"}
    for language in HEADINGS:
        texts = english if language == "en" else _translation(root, language, english)
        files |= {
            page: help_page(node, texts[node], _by_hand(page), language)
            for node, page in ((node, _page(root, node, language)) for node in english)
        }
    return {path: text for path, text in files.items() if _read(path) != text}


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes what repeats the nodes' schemas.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    args = parser.parse_args()
    try:
        changed = changed_files(args.root, read_schemas(args.root))
    except ValueError as error:
        sys.exit(str(error))
    for path, text in changed.items():
        print(f"{path.relative_to(args.root)} {'is out of date' if args.check else 'written'}")
        if not args.check:
            path.write_text(text, encoding="utf-8")
    if args.check and changed:
        sys.exit("Run `python docs/dev/node_texts.py` and commit what it writes.")


def _translation(root: Path, language: str, english: Texts) -> Texts:
    path = _locale(root, language)
    texts = json.loads(_read(path))
    faults = [*missing_keys(english, texts)]
    if faults:
        name = path.relative_to(root)
        raise ValueError("\n".join(f"{name}: {fault}" for fault in faults))
    # In the schema's order.
    return {node: _ordered(english[node], texts[node]) for node in english}


def _ordered(like: Any, texts: Any) -> Any:
    return (
        {key: _ordered(like[key], texts[key]) for key in like} if isinstance(like, dict) else texts
    )


def _input_line(key: str, text: Texts, language: str) -> str:
    name = f"`{key}`" if language == "en" else f"{text['name']} (`{key}`)"
    return f"- {name}{COLONS.get(language, ': ')}{text['tooltip']}"


def _output_line(text: Texts, language: str) -> str:
    name = f"`{text['name']}`" if language == "en" else text["name"]
    return f"- {name}{COLONS.get(language, ': ')}{text['tooltip']}"


def _by_hand(page: Path) -> str:
    found = BY_HAND.search(_read(page))
    if found is None:
        raise ValueError(f"{page} needs a line with the picture, then text of its own below it.")
    return found[1]


def _locale(root: Path, language: str) -> Path:
    return root / "locales" / language / "nodeDefs.json"


def _page(root: Path, node: str, language: str) -> Path:
    pages = root / "js" / "docs"
    return pages / f"{node}.md" if language == "en" else pages / node / f"{language}.md"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
