#!/usr/bin/env bash
# Everything that only a GPU shows, in one command of at most 4 minutes:
#     tests/cuda/run.sh [--rehearse] [--seconds N] [PART ...]
# It wants a Python with torch and pytest, and what tests/cuda/pack.py packed into .cuda; nothing is installed.
# Results go to $OUT (default: cuda_results): results.jsonl, one line for each part as it ends, and log.txt.
# tests/cuda/report.py makes tables of them. --rehearse runs every part on the CPU with narrow nets.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
du -sh .cuda/* || echo "There is no .cuda: ComfyUI and diffusers are left out."

# Packages apart from the repository, whose own top folder must not be on the path: its `nodes` would shadow ComfyUI's.
mkdir "$work/packages"
ln -s "$PWD/cnet_core" "$work/packages/cnet_core"
for wheel in .cuda/wheels/*.whl; do
    [ ! -e "$wheel" ] || "$python" -m zipfile -e "$wheel" "$work/packages"
done
export PYTHONPATH="$work/packages" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 TMPDIR="$work"
"$python" tests/cuda/run.py "$@"
