"""All example workflows by file name; `tests/comfy/make_examples.py` writes them."""

from collections.abc import Callable

from checkpoint_graphs import sdxl, stable_diffusion_15
from example_graphs import (
    both_or_cond_only,
    control_xray,
    first_steps,
    soft_weights,
    train_and_use,
    two_hints,
)
from sheet import Sheet
from travelling_graphs import one_region, tiled_upscale

#: File name -> what is on it. ComfyUI shows the names as titles. 7 and 8 need files of one's own.
EXAMPLES: dict[str, Callable[[], Sheet]] = {
    "1 First steps": first_steps,
    "2 Both or cond only": both_or_cond_only,
    "3 Soft weights": soft_weights,
    "4 Two hints and masks": two_hints,
    "5 Control X-ray": control_xray,
    "6 Train and use": train_and_use,
    "7 Stable Diffusion 1.5": stable_diffusion_15,
    "8 SDXL": sdxl,
    "9 One region": one_region,
}
#: In docs/examples, since they need nodes of another pack: file name -> the pack, and what is on it.
WITH_PACKS = {"ultimate_sd_upscale": ("ComfyUI_UltimateSDUpscale", tiled_upscale)}
