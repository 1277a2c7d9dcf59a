#!/bin/bash
# On a GPU: `go.sh rehearse OUT` runs every stage for seconds, `go.sh train OUT` trains. Options of train.py may follow.
# A rehearsal writes rehearsal.json and the compiler's cache (cache.tgz.*) to OUT, and leaves OUT's results alone.
# A cache in the folder `cache` beside this script (cache.tgz.*) is used.
case $1 in rehearse | train) known=yes ;; esac
if [ -z "$known" ] || [ -z "$2" ]; then
    echo "usage: go.sh rehearse|train OUT [OPTION OF train.py ...]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd); out=$2; folder=${FOLDER:-/tmp/world}/$1
[ -d "$here/../cnet_core" ] && root=$here/.. || root=$here/../../..
export PYTHONPATH=$root:$here:$here/.. PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR=$folder/inductor
[ "$1" = rehearse ] && rm -rf "$folder"  # an earlier rehearsal would be continued, and its stages are over
mkdir -p "$folder" "$out" || exit
cat "$here"/cache/cache.tgz.* 2>/dev/null | tar xz -C "$folder" 2>/dev/null
device=${DEVICE:-cuda}
case $1 in
rehearse)
    python3 "$here/train.py" --folder "$folder" --out "$folder/out" --device "$device" --shrink 16 --scenes 24 --wait 60 "${@:3}"
    status=$?
    cp "$folder/out/report.json" "$out/rehearsal.json"
    if [ -d "$folder/inductor" ]; then
        rm -f "$out"/cache.tgz.*
        tar czf - -C "$folder" inductor | split -b 15M - "$out/cache.tgz."
    fi ;;
train)
    python3 "$here/train.py" --folder "$folder" --out "$out" --device "$device" "${@:3}"
    status=$? ;;
esac
ls -l "$out"
exit $status
