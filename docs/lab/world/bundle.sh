#!/bin/bash
# Puts all that training needs into one folder outside the sources: `bundle.sh FOLDER`.
# FOLDER must be new, empty or an earlier bundle, whose sources are replaced.
set -e
mark=.world-bundle
[ $# = 1 ] && [ -n "$1" ] || { echo "usage: bundle.sh FOLDER" >&2; exit 2; }
if [ -e "$1" ] && ! [ -e "$1/$mark" ] && { ! [ -d "$1" ] || [ -n "$(ls -A "$1")" ]; }; then
    echo "$1 is neither empty nor an earlier bundle; give another folder" >&2
    exit 1
fi
root=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$1"
target=$(cd "$1" && pwd)
touch "$target/$mark"
cd "$root"
rm -rf "$target/lab" "$target/cnet_core"
mkdir "$target/lab"
cp docs/lab/{assessment,evaluate,held_out,kind_classifier,other_outlines,strokes,target_gain}.py "$target/lab/"
cp docs/lab/other_outlines.png docs/lab/world/*.py docs/lab/world/*.sh "$target/lab/"
cp -r cnet_core "$target/"
rm -rf "$target"/cnet_core/tiny/weights
find "$target"/{lab,cnet_core} -name __pycache__ -prune -exec rm -rf {} +
du -sh "$target"
