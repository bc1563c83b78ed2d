#!/usr/bin/env bash
# Train a wide variant from the weights of nano, on a GPU that is yours for minutes, and measure it.
#
#   bash training/on_gpu.sh OUT VARIANT MINUTES PHOTOS PATHS.csv [option of mostnet-train]...
#
# PHOTOS holds train and val, each with image and mask. Scenes and clips for validation are made first, in OUT. The run
# is in OUT/run, its weights in half precision are OUT/VARIANT.pt, their figures are in OUT/eval. The options come after
# those below and win.
#
# CALL_SECONDS=N ends the training N seconds after the start of this script. The same command then continues it.
# PYTHON names the Python, with mostnet, torch with CUDA, PyAV, OpenCV, rich and PyYAML. It needs no Matplotlib.
# DRAWN and CLIPS are the numbers of drawn sequences for training and of clips for measuring.
set -euo pipefail
if [ $# -lt 5 ]; then
    sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
out=$1 variant=$2 minutes=$3 photos=$4 paths=$5
shift 5
python=${PYTHON:-python3}
call_seconds=${CALL_SECONDS:-86400}

makers=()
make_split() { # folder of the data, name of the split, options of mostnet-synth
    if [ ! -e "$out/$1/$2/dataset.json" ]; then
        "$python" -m mostnet.training.synth_cli "$out/$1" --split "$2" "${@:3}" &
        makers+=($!)
    fi
}

mkdir -p "$out"
make_split mouths val --photos "$photos/val" --paths "$paths" --sequences "${CLIPS:-40}" --frames 12 \
    --strength 0.6 1 --clean 0 --no-mouth 0 --tint 0 --calm 0 0
make_split drawn val --sequences 6 --frames 24
make_split drawn train --sequences "${DRAWN:-240}" --frames 12 --workers "$(nproc)"
for maker in "${makers[@]}"; do wait "$maker"; done

start=(--init nano)
if [ -e "$out/run/last.pt" ]; then start=(--resume); fi

status=0
timeout --signal INT "$((call_seconds > SECONDS + 1 ? call_seconds - SECONDS : 1))" \
    "$python" -m mostnet.training.cli "$out/drawn" --out "$out/run" --photos "$photos/train" --paths "$paths" \
    --variant "$variant" --max-minutes "$minutes" --steps 1000000 --amp bf16 --channels-last --cuda-graph --cache ram \
    --workers 4 --batch 24 --clip 3 --chunks 2 --crop 192x256 --scale-max 1.8 --photo-share 0.75 --lr 6e-4 \
    --w-enhance 3 --w-flow 0.2 --w-mask 1 --validate-every 0 --save-every 500 "${start[@]}" "$@" || status=$?
if [ "$status" = 124 ]; then
    echo "$out/run: $call_seconds s are over; run the same command again to continue"
    exit 0
elif [ "$status" != 0 ]; then
    exit "$status"
fi
"$python" -m mostnet.model half "$out/run/model.pt" "$out/$variant.pt"
"$python" -m mostnet.training.evaluation.cli "$out/$variant.pt" "$out/mouths" --split val --out "$out/eval"
