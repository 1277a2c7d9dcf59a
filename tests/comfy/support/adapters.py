"""Controls of kinds that this pack does not run itself."""

from flows import Control
from graphs import Graph, Link
from hosts import without_attention
from weights import SDXL, family


class Adapter(Control):
    """A T2I-Adapter for SD1.5."""

    xl = False

    def net(self, graph: Graph, loader: str) -> Link:
        return graph.add("ProbeT2I", xl=self.xl, seed=3)


class AdapterXL(Adapter):
    """One for SDXL."""

    xl = True


class AdapterOfAnotherPack(Adapter):
    """The one for SD1.5 in a subclass of ComfyUI's class."""

    def net(self, graph: Graph, loader: str) -> Link:
        return graph.add("ProbeAdapterOfAnotherPack", control_net=super().net(graph, loader))


class OfAnotherPack(Control):
    """Another pack's subclass of ComfyUI's ControlNet, for SDXL."""

    def net(self, graph: Graph, loader: str) -> Link:
        return without_attention(graph, family(SDXL), "OfAnotherPack")
