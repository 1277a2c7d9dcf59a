"""A graph on a sheet: nodes in columns that are read from left to right, each with its title."""

from dataclasses import dataclass, field
from typing import Any

from graphs import Graph, Link

NOTE = "note"
#: The front end writes a group's title in the group's own colour on a ground of it: neither pale nor dark stands out.
GREEN, BLUE, VIOLET, ORANGE, GRAY = "#578c6b", "#5f80b4", "#8a6fb4", "#b0884f", "#7a7a84"


@dataclass
class Column:
    """Nodes below each other, in a coloured group."""

    title: str
    width: int
    colour: str
    keys: list[str] = field(default_factory=list)


class Sheet:
    """Nodes by id, as Graph has them, and where they stand."""

    def __init__(self, *columns: Column) -> None:
        self.graph = Graph()
        self.columns = columns
        self.titles: dict[str, str] = {}
        self.heights: dict[str, int] = {}
        self.properties: dict[str, dict[str, Any]] = {}
        self.note = ""

    def add(
        self, place: int, kind: str, /, title: str = "", height: int = 0, **inputs: Any
    ) -> Link:
        """Adds a node below those of a column; `height` where it shows more than its rows."""
        link = self.graph.add(kind, **inputs)
        key = link[0]
        self.columns[place].keys.append(key)
        if title:
            self.titles[key] = title
        if height:
            self.heights[key] = height
        return link

    def say(self, place: int, note: str, height: int = 100) -> None:
        """Adds the note."""
        self.note = note
        self.heights[NOTE] = height
        self.columns[place].keys.append(NOTE)
