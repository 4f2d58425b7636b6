"""One configuration on all eight sets of methods without label maps: raw files to the table."""

import json

import numpy as np
import pytest
import torch

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data import register_benchmarks
from fgaseg_d2.data.dataset_words import evaluation_vocabulary
from fgaseg_d2.data.labels import LabelSpec
from fgaseg_d2.evaluation.truth import GroundTruth
from fgaseg_d2.evaluation.without_masks import COLUMNS
from tests import raw_trees
from tests.conftest import ROOT, build_small, config, tool
from tests.methods.tester import picture
from tests.test_train_net import call

RAW = ("coco_stuff", "ade20k_150", "pascal_context", "pascal_voc", "cityscapes_19")
PREPARED = (
    *("coco_stuff", "ade20k_150", "pascal_context_59", "pascal_voc", "cityscapes_19"),
    *("pascal_voc_21", "pascal_context_60", "coco_object_81"),
)
# Sizes apart, and a CLIP with random weights, the configuration as it is.
SMALL = (
    *(
        "MODEL.CLIP.NAME",
        str(ROOT / "tests/data/clip/Small-ViT-8.json"),
        "MODEL.CLIP.PRETRAINED",
        "",
    ),
    *("MODEL.CLIP.IMAGE_SIZE", "[32, 32]", "MODEL.CLIP.TEXT_CACHE_SIZE", "0"),
    *(
        "MODEL.WORDS.PROMPT_TEMPLATES",
        "single",
        "MODEL.DEVICE",
        "cpu",
        "DATALOADER.NUM_WORKERS",
        "0",
    ),
    *("INPUT.MIN_SIZE_TEST", "32", "TEST.SLIDING_WINDOW.SHORT_SIDE", "32"),
    *("TEST.SLIDING_WINDOW.SIZE", "[32, 32]", "TEST.SLIDING_WINDOW.STRIDE", "[16, 16]"),
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Miniature trees of all eight, registered."""
    root = tmp_path_factory.mktemp("eight")
    for name in RAW:
        raw_trees.BUILDERS[name](root, "val", 2, 0)
    arguments = [*PREPARED, "--splits", "val", "--root", str(root), "--workers", "1"]
    assert tool("prepare_datasets").main(arguments) == 0
    register_benchmarks(root)
    yield root
    register_benchmarks()


@pytest.mark.parametrize(
    ("file", "opts"),
    [
        ("configs/mgca/eight_sets.yaml", ()),
        ("configs/mgca/eight_sets.yaml", ("TEST.PAMR.ITERATIONS", "2")),
        *(
            (f"configs/dense_clip/eight_sets_readings/{reading}_eight_sets.yaml", ())
            for reading in ("maskclip", "sclip", "naclip", "clearclip")
        ),
        (
            "configs/dense_clip/eight_sets_readings/proxyclip_eight_sets.yaml",
            ("MODEL.DENSE_CLIP.PROXY.NAME", "test_vit", "MODEL.DENSE_CLIP.PROXY.PRETRAINED", ""),
        ),
    ],
    ids=("mgca", "mgca_pamr", "maskclip", "sclip", "naclip", "clearclip", "proxyclip"),
)
def test_one_command_scores_all_eight_beside_published_rows(
    file, opts, prepared, tmp_path, monkeypatch, capsys
):
    arguments = ("--eval-only", "--config-file", ROOT / file, *SMALL, *opts)
    code, errors = call(monkeypatch, capsys, *arguments, "OUTPUT_DIR", tmp_path)
    assert code == 0, errors
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(results) == {f"{name}_val" for name in COLUMNS}
    assert all(0 <= figures["mIoU"] <= 100 for figures in results.values())
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    lines = page.split("## Beside methods without label maps")[1].splitlines()
    header, own = (next(ln for ln in lines if ln.startswith(s)) for s in ("| method", "| **this"))
    assert header == f"| method | {' | '.join(COLUMNS.values())} |"
    cells = [f"{results[f'{name}_val']['mIoU']:.2f} (void)" for name in COLUMNS]
    assert own == f"| **this run** | {' | '.join(cells)} |"
    assert "| NACLIP with PAMR, its README | 64.1 |" in page
    assert ("PAMR, 2 iterations" in page) == ("TEST.PAMR.ITERATIONS" in opts)


def by_sclips_rule(logits, classes, threshold):
    """Softmax over all words, a class is its best word; below the threshold it is class 0.

    Args:
        logits: of 20 classes, then of the words that stand for background; T x H x W.
    """
    scores = torch.softmax(logits, 0).numpy()
    best = np.concatenate([scores[classes:].max(0, keepdims=True), scores[:classes]])
    labels = best.argmax(0)
    labels[best.max(0) < threshold] = 0
    return labels


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("given", ["background", "sky,wall,road"])
def test_words_and_threshold_of_background_are_those_of_sclip(share, given):
    """With a threshold that this share of the pixels, about, stays below; 0 is none."""
    model = build_small("MODEL.META_ARCHITECTURE", "DenseCLIP", "MODEL.CLIP.LOGIT_SCALE", 20.0)
    item = {"image": picture(64, 64), "output": "canvas"}
    views = model.protocol.views(model.normalize(item["image"]))
    spec = LabelSpec.from_metadata("pascal_voc_21_val")
    cfg = config("tests/data/small.yaml", "TEST.BACKGROUND_WORDS", given)
    with torch.no_grad():
        logits = model.logits(views, evaluation_vocabulary(cfg, spec))[0]
    threshold = logits.softmax(0).amax(0).quantile(share).item() * 1.001 if share else 0.0
    cfg.TEST.BACKGROUND_THRESHOLD = threshold
    words = evaluation_vocabulary(cfg, spec)
    with torch.no_grad():
        (result,) = model([item | {"vocabulary": words}])
    labels = GroundTruth(spec, {}).evaluated(result["sem_seg"].argmax(0).numpy(), words)
    expected = by_sclips_rule(logits, 20, threshold)
    assert np.array_equal(labels, expected)
    if share:
        assert share - 0.1 < np.mean(labels == 0) and (share == 1) == bool((labels == 0).all())


@pytest.mark.parametrize("reading", ["maskclip", "sclip", "naclip", "clearclip", "proxyclip"])
def test_readings_look_at_pictures_as_mgca_does(reading):
    cfg = load_config(f"{reading}_eight_sets")
    other = load_config(str(ROOT / "configs/mgca/eight_sets.yaml"))
    assert reading == cfg.MODEL.CLIP.DENSE_READING and cfg.MODEL.SCORES == ""
    assert cfg.MODEL.META_ARCHITECTURE == "DenseCLIP" and cfg.MODEL.CLIP.FINETUNE == "frozen"
    assert (cfg.TEST.BACKGROUND_WORDS, cfg.TEST.BACKGROUND_THRESHOLD) == ("background", 0.1)
    assert cfg.DATASETS.TEST == other.DATASETS.TEST and len(cfg.DATASETS.TEST) == 8
    window = cfg.TEST.SLIDING_WINDOW
    assert window == other.TEST.SLIDING_WINDOW
    assert (window.SHORT_SIDE, window.SIZE, window.STRIDE) == (448, [448, 448], [224, 224])
    assert cfg.INPUT == other.INPUT and cfg.MODEL.CLIP.IMAGE_SIZE == [448, 448]
