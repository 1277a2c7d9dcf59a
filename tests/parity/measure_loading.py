"""cnet_core.bench.loading with ComfyUI's own loader among the others, in one process.

PYTHONPATH=. COMFYUI_PYTHON tests/parity/measure_loading.py COMFYUI_FOLDER FILE [--rounds 7]
"""

import sys

comfyui = sys.argv.pop(1)
sys.path.insert(1, comfyui)
arguments, sys.argv = sys.argv, [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.controlnet  # noqa: E402

from cnet_core.bench.loading import main  # noqa: E402

sys.argv = arguments
main(
    {"ComfyUI": lambda path: comfy.controlnet.load_controlnet(str(path)).control_model.parameters()}
)
