"""Options of the whole test run."""

import pytest


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
