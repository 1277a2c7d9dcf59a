"""Options of the whole test run."""

import os

import pytest
import torch

# The nets here are too small to share: a second thread costs more than it gives, far more on a busy machine.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--comfyui` switches on the tests that drive a real ComfyUI."""
    parser.addoption(
        "--comfyui",
        default=None,
        help="folder of a ComfyUI, for tests/comfy (else: environment CNET_COMFYUI)",
    )
    parser.addoption(
        "--comfyui-python",
        default=None,
        help="the Python that ComfyUI runs with (else: CNET_COMFYUI_PYTHON, else this one)",
    )
