"""What `import cnet_core` loads: what only some users need waits until it is used."""

import subprocess
import sys

import pytest

HEAVY = ("torch._dynamo", "torch._inductor", "sympy", "matplotlib", "safetensors")
OPTIONAL = ("diffusers", "transformers", "accelerate", "tensorboard")


@pytest.mark.parametrize("module", ["cnet_core", "cnet_core.cli"])
def test_nothing_heavy_is_loaded_at_import(module: str) -> None:
    names = (*HEAVY, *OPTIONAL)
    code = f"import sys, {module}; print([name for name in {names} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
