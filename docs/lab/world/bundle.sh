#!/bin/bash
# Puts all that training needs into one folder outside the sources: `bundle.sh FOLDER`.
set -e
root=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "${1:?give a folder}"
target=$(cd "$1" && pwd)
[ -e "$target/pyproject.toml" ] && { echo "$target is a repository; give another folder"; exit 1; }
cd "$root"
rm -rf "$target/lab" "$target/cnet_core"
mkdir "$target/lab"
cp docs/lab/{assessment,evaluate,held_out,kind_classifier,other_outlines,strokes,target_gain}.py "$target/lab/"
cp docs/lab/other_outlines.png docs/lab/world/*.py docs/lab/world/*.sh "$target/lab/"
cp -r cnet_core "$target/"
rm -rf "$target"/cnet_core/tiny/weights
find "$target" -name __pycache__ -prune -exec rm -rf {} +
du -sh "$target"
