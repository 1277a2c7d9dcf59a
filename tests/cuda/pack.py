"""Packs what tests/cuda/run.sh needs of other people's code: `python tests/cuda/pack.py COMFYUI DIR [ACN] [WHEEL ...]`.

COMFYUI is a folder of tests/comfy/provision.sh, ACN a folder of ComfyUI-Advanced-ControlNet, each WHEEL a pure Python
one. A machine with a GPU may have no network: DIR travels there with the repository. Nothing of it is committed.
"""

import shutil
import sys
from pathlib import Path

#: ComfyUI's folders of code that sampling needs; its node files are next to them.
FOLDERS = ("alembic_db", "api_server", "app", "comfy", "comfy_api", "comfy_config")
FOLDERS += ("comfy_execution", "comfy_extras", "middleware", "utils")
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".git", "tests", "examples", "*.png", "*.gif")
#: Vocabularies of text encoders; no prompt of the bench has a text.
LARGEST = 200 * 1024
#: Packages that ComfyUI imports and the bench never calls: module -> its text.
STUBS = {
    "torchsde.py": "",
    "av/__init__.py": "",
    "av/container.py": "class InputContainer: ...\n",
    "av/subtitles/__init__.py": "",
    "av/subtitles/stream.py": "class SubtitleStream: ...\n",
    "comfyui_frontend_package/__init__.py": "",
    "comfyui_frontend_package/static/index.html": "",
}
MIB = 2**20


def main(comfyui: str, target: str, *more: str) -> None:
    """Writes DIR, which it empties first, and prints the size of what is in it."""
    root = Path(target)
    shutil.rmtree(root, ignore_errors=True)
    pack_comfyui(Path(comfyui), root / "comfyui")
    for path in map(Path, more):
        if path.suffix == ".whl":
            (root / "wheels").mkdir(exist_ok=True)
            shutil.copy(path, root / "wheels")
        else:
            pack = root / "comfyui/custom_nodes/ComfyUI-Advanced-ControlNet"
            shutil.copytree(path, pack, ignore=LEFT_OUT)
    for folder in sorted(root.glob("*")):
        print(f"{folder}: {size(folder) / MIB:.1f} MiB")


def pack_comfyui(source: Path, target: Path) -> None:
    """Copies ComfyUI's own code, with stubs for the packages that it imports and does not use here."""
    for folder in FOLDERS:
        shutil.copytree(source / folder, target / folder, ignore=LEFT_OUT)
    for file in source.glob("*.py"):
        shutil.copy(file, target)
    for file in target.rglob("*"):
        if file.is_file() and file.suffix != ".py" and file.stat().st_size > LARGEST:
            file.unlink()
    for name, text in STUBS.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)


def size(folder: Path) -> int:
    """Returns the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main(*sys.argv[1:])
