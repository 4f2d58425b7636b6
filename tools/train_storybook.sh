#!/usr/bin/env bash
# Makes fgaseg_d2/weights/storybook_vit8.safetensors, the model that comes with the package, from
# nothing: draws the data, trains CLIP contrastively, then densely (first on all crops, then on larger
# ones with things), then FGAseg (first by cross-entropy, which settles what beats what, then by the binary
# cross-entropy that a threshold against the background needs), and evaluates it. Seeds: 0 for the
# drawing, 42 (base.yaml) for training, 43 and 44 where training goes on. An interrupted run continues.
#
# Usage: tools/train_storybook.sh [OUTPUT_FOLDER]; docs/MODEL_CARD.md says how long it takes.
set -euo pipefail
fail() {
    echo "error: $1; see tools/train_storybook.sh --help" >&2
    exit 2
}
case ${1-} in
    -h | --help) sed -n '2,/^# Usage/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) fail "unknown option '$1'" ;;
esac
[ $# -le 1 ] || fail "expected one folder at most, got $# words"
[ -z "${1+given}" ] || [ -n "$1" ] || fail "expected the name of a folder, got nothing"
out=${1:-output/storybook}
case $out in
    "~" | "~/"*) out=$HOME${out#"~"} ;;
    /*) ;;
    *) [ $# -eq 0 ] || out=$PWD/$out ;; # the default lies in the repository
esac
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
[ -x "$(command -v "$python")" ] || fail "expected Python at '$python', got nothing; run make install, or set PYTHON"
if [ -e "$out" ] && [ ! -d "$out" ]; then fail "expected a folder at '$out', got a file"; fi
export DETECTRON2_DATASETS=${DETECTRON2_DATASETS:-datasets}
# glibc returns large tensors to the system after every use, which costs a third of the time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 MALLOC_TOP_PAD_=100000000

"$python" tools/make_storybook.py --root "$DETECTRON2_DATASETS"

"$python" train_net.py --config-file configs/fgaseg/tiny_contrastive.yaml --resume \
    OUTPUT_DIR "$out/contrastive"

"$python" train_net.py --config-file configs/fgaseg/tiny_clip.yaml --resume \
    OUTPUT_DIR "$out/clip_crops" \
    MODEL.WEIGHTS "$out/contrastive/model_final.pth" MODEL.WEIGHTS_PARTIAL True

"$python" train_net.py --config-file configs/fgaseg/tiny_clip.yaml --resume \
    OUTPUT_DIR "$out/clip_things" \
    MODEL.WEIGHTS "$out/clip_crops/model_final.pth" MODEL.FGASEG.LOSS.CLASS_BALANCE 0.5 \
    INPUT.MIN_SIZE_TRAIN "(224, 256, 288)" INPUT.CROP.SINGLE_CATEGORY_MAX_AREA 0.5 \
    SOLVER.IMS_PER_BATCH 16 SOLVER.BASE_LR 0.001 SOLVER.WARMUP_ITERS 100 SOLVER.MAX_ITER 4000

fgaseg=(--config-file configs/fgaseg/tiny.yaml --resume DATASETS.TEST "()" DATALOADER.NUM_WORKERS 0 \
    MODEL.CLIP.IMAGE_SIZE "[192, 192]" INPUT.MIN_SIZE_TRAIN "(224, 256)")
balanced=(MODEL.FGASEG.LOSS.MAIN ce MODEL.FGASEG.LOSS.CLASS_BALANCE 0.5 SOLVER.LR_MULTIPLIERS.CLIP 0.3)

"$python" train_net.py "${fgaseg[@]}" "${balanced[@]}" SOLVER.MAX_ITER 1600 \
    OUTPUT_DIR "$out/fgaseg_ce" \
    MODEL.WEIGHTS "$out/clip_things/model_final.pth" MODEL.WEIGHTS_PARTIAL True

"$python" train_net.py "${fgaseg[@]}" "${balanced[@]}" SOLVER.MAX_ITER 1700 SEED 43 \
    OUTPUT_DIR "$out/fgaseg_ce_again" MODEL.WEIGHTS "$out/fgaseg_ce/model_final.pth"

# Longer, from a lower rate: from the full one it would first lose what it has learned.
"$python" train_net.py "${fgaseg[@]}" "${balanced[@]}" SOLVER.BASE_LR 0.0004 SOLVER.MAX_ITER 3400 SEED 44 \
    OUTPUT_DIR "$out/fgaseg_ce_slow" MODEL.WEIGHTS "$out/fgaseg_ce_again/model_final.pth"

"$python" train_net.py "${fgaseg[@]}" SEED 44 \
    OUTPUT_DIR "$out/fgaseg" MODEL.WEIGHTS "$out/fgaseg_ce_slow/model_final.pth" \
    SOLVER.BASE_LR 0.0002 SOLVER.WARMUP_ITERS 10 SOLVER.MAX_ITER 250

"$python" tools/convert_checkpoint.py --half "$out/fgaseg/model_final.pth" \
    fgaseg_d2/weights/storybook_vit8.safetensors

"$python" train_net.py --config-file configs/fgaseg/tiny.yaml --eval-only \
    OUTPUT_DIR "$out/evaluation" TEST.BOUNDARY_IOU True \
    DATASETS.TEST "('storybook_seen_test', 'storybook_unseen_test', 'storybook_generalized_test', \
        'storybook_nouns_test', 'storybook_attributes_test', 'storybook_full_test')"
