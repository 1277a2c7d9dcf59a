"""Writes ControlNets to ComfyUI's output folder, where LoadControlNet finds them."""

from pathlib import Path

import folder_paths

from ...cnet_core import save_controlnet
from ...cnet_core.checkpoints.formats import SaveLayout, layout_format
from .files import FOLDER, unet_weights, words_of_nodes
from .host_types import Model
from .loaded import LoadedNet


def register_output() -> None:
    """Adds `output/controlnet` to the folders of loaders, as ComfyUI does for checkpoints."""
    folder_paths.add_model_folder_path(
        FOLDER, str(Path(folder_paths.get_output_directory(), FOLDER))
    )


def save_control_net(
    control_net: object, prefix: str, layout: SaveLayout, base_model: Model | None = None
) -> Path:
    """Writes a net under a new name that starts with `prefix`; returns its file, or its folder for "diffusers".

    Args:
        base_model: MODEL; only the layout "difference" uses it.

    Raises:
        TypeError: not a net of this pack. ValueError: `base_model` missing or of another family, an impossible layout.
    """
    if not isinstance(control_net, LoadedNet):
        raise TypeError(
            f"SaveControlNet writes nets of TrainControlNet and LoadControlNet, not a {type(control_net).__name__}."
        )
    format = layout_format(layout)
    if format.needs_base and base_model is None:
        raise ValueError(
            f"The layout {layout!r} needs `base_model`: connect the model that the ControlNet was trained "
            "on."
        )
    folder, name, counter, *_ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory()
    )
    ending = "" if format.folder_config else ".safetensors"  # a folder, which diffusers needs
    path = Path(folder) / f"{name}_{counter:05}_{ending}"
    base = unet_weights(base_model) if base_model is not None and format.needs_base else None
    with words_of_nodes():
        save_controlnet(control_net.exact or control_net.net, path, layout=layout, base=base)
    return path
