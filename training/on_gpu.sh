#!/usr/bin/env bash
# Train a wide variant from the weights of nano, on a GPU that is yours for minutes, and measure it.
#
#   bash training/on_gpu.sh OUT VARIANT MINUTES PHOTOS PATHS.csv [option of mostnet-train]...
#
# PHOTOS holds train and val, each with image and mask. The script makes OUT/drawn to train on and OUT/mouths to measure
# on, and keeps them if they are there. It trains in OUT/run, or resumes the run there. It writes the weights in half
# precision to OUT/VARIANT.pt, and their figures to OUT/figures.txt. The options come after those below, and win.
# A SIGTERM saves the run and ends the script; the same command resumes the run.
#
# PYTHON names the Python, with mostnet, torch with CUDA, PyAV, OpenCV, rich and PyYAML. It needs no Matplotlib.
# INIT names other weights to start from. DRAWN and CLIPS are the numbers of sequences in OUT/drawn and OUT/mouths.
set -euo pipefail
if [ $# -lt 5 ]; then
    sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
out=$1 variant=$2 minutes=$3 photos=$4 paths=$5
shift 5

stop() {
    trap '' TERM HUP INT
    kill -TERM $(jobs -p) 2> /dev/null || true
    wait
}
trap stop EXIT
trap 'exit 143' TERM HUP INT

start() { "${PYTHON:-python3}" -m "mostnet.$1" "${@:2}" & }
run() { start "$@" && wait "$!"; }

makers=()
make_split() { # folder of the data, name of the split, options of mostnet-synth
    if [ -e "$out/$1/$2/dataset.json" ]; then
        echo "$out/$1/$2: kept as it is"
    else
        start training.synth_cli "$out/$1" --split "$2" "${@:3}"
        makers+=("$!")
    fi
}

mkdir -p "$out"
make_split mouths val --photos "$photos/val" --paths "$paths" --sequences "${CLIPS:-40}" --frames 12 \
    --strength 0.6 1 --clean 0 --no-mouth 0 --tint 0 --calm 0 0
make_split drawn train --sequences "${DRAWN:-240}" --frames 12 --workers "$(nproc)"
for maker in "${makers[@]}"; do wait "$maker"; done

first=(--init "${INIT:-nano}")
if [ -e "$out/run/last.pt" ]; then first=(--resume); fi
run training.cli "$out/drawn" --out "$out/run" --photos "$photos/train" --paths "$paths" \
    --variant "$variant" --max-minutes "$minutes" --steps 1000000 --amp bf16 --channels-last --cuda-graph --cache ram \
    --workers 4 --batch 24 --clip 3 --chunks 2 --crop 192x256 --scale-max 1.8 --photo-share 0.75 --lr 6e-4 \
    --w-enhance 3 --w-flow 0.2 --w-mask 1 --validate-every 0 --save-every 500 "${first[@]}" "$@"
run model half "$out/run/model.pt" "$out/$variant.pt"
run training.evaluation.cli "$out/$variant.pt" "$out/mouths" --split val > "$out/figures.part"
mv "$out/figures.part" "$out/figures.txt"
cat "$out/figures.txt"
