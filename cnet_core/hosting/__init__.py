"""What any host with runs, context windows and batches needs around the engine. Nothing here depends on a host."""

from .controls import Controls
from .open_nets import OpenNets
from .run_record import RunRecord
from .source import NetSource
from .unit_spec import AUTO, UnitSpec, check_spec

__all__ = ["AUTO", "Controls", "NetSource", "OpenNets", "RunRecord", "UnitSpec", "check_spec"]
