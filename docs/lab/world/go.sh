#!/bin/bash
# On a GPU: `go.sh rehearse OUT` runs every stage for seconds and keeps the compiler's cache, `go.sh train OUT` trains.
# A cache in the folder `cache` beside this script (cache.tgz.*) is used.
here=$(cd "$(dirname "$0")" && pwd); root=${ROOT:-$here/../../..}; out=$2; folder=${FOLDER:-/tmp/world}/$1
export PYTHONPATH=$root:$here:$here/.. PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR=$folder/inductor
mkdir -p "$folder" "$out"
cat "$here"/cache/cache.tgz.* 2>/dev/null | tar xz -C "$folder" 2>/dev/null
device=${DEVICE:-cuda}
case $1 in
rehearse)
    python3 "$here/train.py" --folder "$folder" --out "$out" --device "$device" --shrink 16 --scenes 24 --wait 60 "${@:3}"
    rm -f "$out"/*.safetensors
    [ -d "$folder/inductor" ] && tar czf - -C "$folder" inductor | split -b 15M - "$out/cache.tgz." ;;
train) python3 "$here/train.py" --folder "$folder" --out "$out" --device "$device" "${@:3}" ;;
esac
ls -l "$out"
