#!/bin/bash
# Puts all that training needs into one folder: `bundle.sh FOLDER`.
set -e
cd "$(dirname "$0")/../../.."
rm -rf "$1/lab" "$1/cnet_core"
mkdir -p "$1/lab"
cp docs/lab/{assessment,evaluate,held_out,kind_classifier,other_outlines,strokes,target_gain}.py "$1/lab/"
cp docs/lab/other_outlines.png docs/lab/world/*.py docs/lab/world/*.sh "$1/lab/"
cp -r cnet_core "$1/"
rm -rf "$1"/cnet_core/tiny/weights
find "$1" -name __pycache__ -prune -exec rm -rf {} +
du -sh "$1"
