"""Options of the whole test run."""

import gc
import os

import pytest
import torch

# The nets here are too small to share: a second thread costs more than it gives, far more on a busy machine.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips the tests that need a CUDA device where there is none, and slow ones unless they are asked for."""
    skipped = {
        "cuda": not torch.cuda.is_available() and "there is no CUDA device",
        "slow": not config.getoption("slow") and "it is slow; --slow runs it",
    }
    for item in items:
        for marker, reason in skipped.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Keeps Python's garbage collector from visiting libraries and tests, which live until the end."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--slow` switches on the slow tests, and `--comfyui` those that drive a real ComfyUI.

    It wants `=`: a path that stands alone is taken for one more folder of tests before this function is known, and
    ComfyUI has some.
    """
    parser.addoption("--slow", action="store_true", help="run the slow tests, too")
    parser.addoption(
        "--comfyui",
        action="append",
        default=[],
        metavar="PATH",
        help="folder of a ComfyUI, for tests/comfy; may be given several times (else: environment "
        "CNET_COMFYUI, several separated as in PATH)",
    )
    parser.addoption(
        "--comfyui-python",
        action="append",
        default=[],
        metavar="PYTHON",
        help="the Python that ComfyUI runs with: one for all, or one for each --comfyui (else: "
        "CNET_COMFYUI_PYTHON, else this one)",
    )
