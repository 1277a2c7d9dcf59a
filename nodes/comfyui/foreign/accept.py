"""Which CONTROL_NETs the generic adapter takes."""

from typing import Any

import comfy.controlnet

#: What marks the control nets of ComfyUI-Advanced-ControlNet, whose own nodes time and weigh them.
ADVANCED = "ACN_VERSION"


def check_accepted(control_net: Any) -> None:
    """Raises TypeError for what is no control net, or one that does more than answer `get_control`, by its name."""
    name = type(control_net).__name__
    if not isinstance(control_net, comfy.controlnet.ControlBase):
        raise TypeError(
            f"`control_net` is a {name}, which is no ControlNet. Connect Load ControlNet or one of ComfyUI's own "
            "loaders."
        )
    if hasattr(control_net, ADVANCED):
        raise TypeError(
            f"`control_net` is a {name} of ComfyUI-Advanced-ControlNet, which weighs and times control itself. Use "
            "its own Apply node, or connect the ControlNet from ComfyUI's loader."
        )
    if control_net.get_extra_hooks():
        raise TypeError(
            f"`control_net` is a {name} with hooks on the model, which only conditionings carry. Use ComfyUI's own "
            "Apply ControlNet node."
        )


def inner_model(control_net: Any) -> Any:
    """Returns the module that a control net runs, or the control net itself where it has none."""
    for name in ("control_model", "t2i_model"):
        model = getattr(control_net, name, None)
        if model is not None:
            return model
    return control_net
