#!/usr/bin/env bash
# Makes fgaseg_d2/weights/storybook_vit8.safetensors, the model that comes with the package, from
# nothing: draws the data, trains CLIP densely (first on crops, then on whole scenes), then FGAseg
# (first by cross-entropy, which settles what beats what, then by the binary cross-entropy that a
# threshold against the background needs). Seeds: 0 for the drawing, 42 (base.yaml) for training.
#
# Usage: tools/train_storybook.sh [OUTPUT_FOLDER]; about an hour and a quarter on two CPU cores.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
out=${1:-output/storybook}
export DETECTRON2_DATASETS=${DETECTRON2_DATASETS:-datasets}
# glibc returns large tensors to the system after every use, which costs a third of the time.
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 MALLOC_TOP_PAD_=100000000

"$python" tools/make_storybook.py --root "$DETECTRON2_DATASETS" --train 20000 --val 500 --unseen 300

"$python" train_net.py --config-file configs/fgaseg/tiny_clip.yaml --resume \
    OUTPUT_DIR "$out/clip_crops" DATASETS.TEST "()"

"$python" train_net.py --config-file configs/fgaseg/tiny_clip.yaml --resume \
    OUTPUT_DIR "$out/clip_scenes" DATASETS.TEST "()" \
    MODEL.WEIGHTS "$out/clip_crops/model_final.pth" MODEL.CLIP.IMAGE_SIZE "[192, 192]" \
    INPUT.CROP.SIZE "[192, 192]" INPUT.MIN_SIZE_TRAIN "(192, 224, 256)" \
    SOLVER.IMS_PER_BATCH 16 SOLVER.BASE_LR 0.0005 SOLVER.WARMUP_ITERS 50 SOLVER.MAX_ITER 650

"$python" train_net.py --config-file configs/fgaseg/tiny.yaml --resume \
    OUTPUT_DIR "$out/fgaseg_ce" DATASETS.TEST "()" MODEL.FGASEG.LOSS.MAIN ce \
    MODEL.CLIP.IMAGE_SIZE "[192, 192]" \
    MODEL.WEIGHTS "$out/clip_scenes/model_final.pth" MODEL.WEIGHTS_PARTIAL True

"$python" train_net.py --config-file configs/fgaseg/tiny.yaml --resume \
    OUTPUT_DIR "$out/fgaseg" DATASETS.TEST "()" MODEL.CLIP.IMAGE_SIZE "[192, 192]" \
    MODEL.WEIGHTS "$out/fgaseg_ce/model_final.pth" \
    SOLVER.BASE_LR 0.0002 SOLVER.WARMUP_ITERS 10 SOLVER.MAX_ITER 300

"$python" tools/convert_checkpoint.py --half "$out/fgaseg/model_final.pth" \
    fgaseg_d2/weights/storybook_vit8.safetensors
