#!/usr/bin/env bash
# Brings what tests/browser needs beside tests/comfy: playwright into the Python in use, a newer front end, Chromium.
#     tests/browser/provision.sh DIR
# Then: CNET_FRONT_END=DIR/front_end/comfyui_frontend_package/static CNET_CHROMIUM=$(command -v chromium)
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)

pip --disable-pip-version-check install -q playwright==1.65.2
pip --disable-pip-version-check download -q --no-deps comfyui-frontend-package==1.58.1 -d "$dir/wheel"
python -m zipfile -e "$dir"/wheel/*.whl "$dir/front_end"
if ! command -v chromium > /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-liberation fonts-noto-cjk > /dev/null
fi
