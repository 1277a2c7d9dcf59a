"""The types that the nodes exchange, and the category of all nodes."""

from comfy_api.latest import io

from .comfyui import control_category

ControlNetSocket = io.Custom("CNET_CONTROL_NET")
Routing = io.Custom("CNET_ROUTING")
Scales = io.Custom("CNET_SCALES")

#: The nodes' place in the "Add Node" menu: below ComfyUI's own ControlNet nodes, wherever a version has them.
CATEGORY = f"{control_category()}/cnet"
