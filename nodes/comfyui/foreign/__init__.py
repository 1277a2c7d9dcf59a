"""Control nets of any model that ComfyUI knows: each is asked for its own `get_control`, on the rows that want it."""

from .calls import WATCH, ForeignCalls
from .spec import ForeignSpec, foreign_spec

__all__ = ["WATCH", "ForeignCalls", "ForeignSpec", "foreign_spec"]
