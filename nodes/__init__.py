"""The nodes, and the extension through which ComfyUI finds them."""

from comfy_api.latest import ComfyExtension, io

from . import apply, embedded, loading, route, settings, training, xray
from .comfyui import add_routes, register_output, warn_of_taken_ids

NODES: list[type[io.ComfyNode]] = [
    *apply.NODES,
    *route.NODES,
    *loading.NODES,
    *settings.NODES,
    *embedded.NODES,
    *xray.NODES,
    *training.NODES,
]


class _Extension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_output()
        add_routes()
        warn_of_taken_ids([node.define_schema().node_id for node in NODES])
        return NODES


async def comfy_entrypoint() -> ComfyExtension:
    """Returns the extension; ComfyUI calls this once, when it loads the pack."""
    return _Extension()
