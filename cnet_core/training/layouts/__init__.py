"""How a data folder lists its samples: one module per kind of layout, each with its Layout values."""

from .find import read_entries
from .sample import Entry, Item, Stored, StoredFile

__all__ = ["Entry", "Item", "Stored", "StoredFile", "read_entries"]
