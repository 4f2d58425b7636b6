#!/usr/bin/env bash
# Makes fgaseg_d2/weights/storybook_vit8.safetensors, the model that comes with the package, from
# nothing: draws the data, trains CLIP contrastively, then densely (first on crops, then on whole
# scenes), then FGAseg (first by cross-entropy, which settles what beats what, then by the binary
# cross-entropy that a threshold against the background needs), and evaluates it. Seeds: 0 for the
# drawing, 42 (base.yaml) for training. An interrupted run continues.
#
# Usage: tools/train_storybook.sh [OUTPUT_FOLDER]; docs/MODEL_CARD.md says how long it takes.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
out=${1:-output/storybook}
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
    OUTPUT_DIR "$out/clip_scenes" \
    MODEL.WEIGHTS "$out/clip_crops/model_final.pth" MODEL.CLIP.IMAGE_SIZE "[192, 192]" \
    INPUT.CROP.SIZE "[192, 192]" INPUT.MIN_SIZE_TRAIN "(192, 224, 256)" \
    SOLVER.IMS_PER_BATCH 16 SOLVER.BASE_LR 0.0005 SOLVER.WARMUP_ITERS 50 SOLVER.MAX_ITER 1000

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

"$python" train_net.py --config-file configs/fgaseg/tiny.yaml --eval-only \
    OUTPUT_DIR "$out/evaluation" TEST.BOUNDARY_IOU True \
    DATASETS.TEST "('storybook_seen_test', 'storybook_unseen_test', 'storybook_generalized_test', \
        'storybook_nouns_test', 'storybook_attributes_test', 'storybook_full_test')"
