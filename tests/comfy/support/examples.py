"""All example workflows by file name."""

import example_graphs
from travelling_graphs import one_region, tiled_upscale

#: File name -> what is on it. ComfyUI shows the names as titles. 7 and 8 need files of one's own.
EXAMPLES = {**example_graphs.EXAMPLES, "9 One region": one_region}
#: In docs/examples, since they need nodes of another pack: file name -> the pack, and what is on it.
WITH_PACKS = {"ultimate_sd_upscale": ("ComfyUI_UltimateSDUpscale", tiled_upscale)}
