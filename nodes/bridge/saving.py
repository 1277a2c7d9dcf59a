"""Writes ControlNets to ComfyUI's output folder, from where LoadControlNet finds them."""

from pathlib import Path

import folder_paths

from ...cnet_core import save_controlnet
from ...cnet_core.checkpoints.save import Layout
from .files import FOLDER, in_words_of_nodes, unet_weights
from .host_types import Model
from .loaded import LoadedNet

#: How names end; diffusers loads folders alone, with a config.json.
ENDINGS: dict[Layout, str] = {"ldm": ".safetensors", "diffusers": "", "difference": ".safetensors"}


def register_output() -> None:
    """Makes `output/controlnet` one of the folders that loaders look into, as ComfyUI does for checkpoints."""
    folder_paths.add_model_folder_path(
        FOLDER, str(Path(folder_paths.get_output_directory(), FOLDER))
    )


def save(control_net: object, prefix: str, layout: Layout, base_model: Model | None = None) -> Path:
    """Writes a net under a new name that begins with `prefix`; returns its file, for "diffusers" its folder.

    Args:
        base_model: MODEL; the layout "difference" needs it, the others do not look at it.

    Raises:
        TypeError: not a net of ours. ValueError: `base_model` missing or of another family, an impossible layout.
    """
    if not isinstance(control_net, LoadedNet):
        raise TypeError(
            f"SaveControlNet writes nets of TrainControlNet and LoadControlNet, not a {type(control_net).__name__}."
        )
    folder, name, counter, *_ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory()
    )
    path = Path(folder) / f"{name}_{counter:05}_{ENDINGS[layout]}"
    base = unet_weights(base_model) if base_model is not None and layout == "difference" else None
    try:
        save_controlnet(control_net.exact or control_net.net, path, layout=layout, base=base)
    except ValueError as error:
        raise ValueError(in_words_of_nodes(str(error))) from error
    return path
