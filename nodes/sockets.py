"""The types that our nodes exchange, and what all of them have in common."""

from comfy_api.latest import io

from .comfyui import control_category

ControlNetSocket = io.Custom("CNET_CONTROL_NET")
Routing = io.Custom("CNET_ROUTING")
Scales = io.Custom("CNET_SCALES")

#: Where the nodes stand in the "Add Node" menu: below ComfyUI's own ControlNet nodes, wherever its version has them.
CATEGORY = f"{control_category()}/cnet"
