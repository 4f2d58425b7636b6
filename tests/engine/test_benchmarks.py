"""The whole way: raw trees, preparation, registration, evaluation of a known predictor."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch import nn

from fgaseg_d2.data import register_benchmarks
from fgaseg_d2.data.datasets.benchmarks import BENCHMARKS
from fgaseg_d2.engine import FGASegTrainer, testing
from tests import raw_trees
from tests.conftest import config, tool

RAW = ("ade20k_847", "pascal_context", "ade20k_150", "pascal_voc")
PREPARED = ("ade20k_847", "pascal_context_459", "ade20k_150", "pascal_context_59", "pascal_voc")
WORDS = {
    "ade20k_847_val": 847,
    "pascal_context_459_val": 459,
    "ade20k_150_val": 150,
    "pascal_context_59_val": 59,
    "pascal_voc_20_val": 20,
    "pascal_voc_20b_val": 59,
}


def known_prediction(truth, classes):
    """Right on the left, the next class on the right, the first class where nothing is scored."""
    wrong = (truth + 1) % classes
    right = np.arange(truth.shape[1]) < truth.shape[1] // 2
    prediction = np.where(right, truth, wrong)
    return np.where(truth >= classes, 0, prediction)


class Known(nn.Module):
    """Answers from the maps that the raw trees were drawn from, not from the prepared files."""

    def __init__(self, truths):
        super().__init__()
        self.truths, self.words = truths, {}

    def forward(self, batch):
        results = []
        for item in batch:
            # Folders of labels tell test sets with the same pictures apart.
            name = next(n for n in self.truths if label_folder(n) in item["sem_seg_file_name"])
            self.words[name] = len(item["vocabulary"])
            truth = self.truths[name][Path(item["file_name"]).stem]
            prediction = known_prediction(truth, evaluated(name))
            if name == "pascal_voc_20b_val":
                # Any of the 39 words that stand for background.
                others = 20 + np.arange(prediction.size).reshape(prediction.shape) % 39
                prediction = np.where(prediction == 20, others, prediction)
            results.append({"labels": torch.from_numpy(prediction.astype(np.int32))})
        return results


def label_folder(name):
    benchmark, _, split = name.rpartition("_")
    return f"/{BENCHMARKS[benchmark].splits[split].label_dir}/"


def evaluated(name):
    return 21 if name == "pascal_voc_20b_val" else WORDS[name]


def expected_miou(truths, classes):
    truth = np.concatenate([label.ravel() for label in truths.values()])
    prediction = [known_prediction(label, classes).ravel() for label in truths.values()]
    scored = truth < classes
    truth, prediction = truth[scored], np.concatenate(prediction)[scored]
    return 100 * jaccard_score(truth, prediction, labels=np.unique(truth), average="macro")


@pytest.fixture
def prepared(tmp_path):
    """All six benchmarks from raw trees, registered; the maps that they were drawn from."""
    truths = {}
    for name in RAW:
        truths |= raw_trees.write(name, tmp_path)
    for name in PREPARED:
        assert tool("prepare_datasets").main([name, "--root", str(tmp_path), "--workers", "1"]) == 0
    register_benchmarks(tmp_path)
    yield truths
    register_benchmarks()


def test_known_predictions_of_all_six_get_the_known_figures(prepared, tmp_path):
    model = Known(prepared)

    class Trainer(FGASegTrainer):
        @classmethod
        def build_model(cls, cfg):
            return model

    cfg = config(
        *("configs/fgaseg/benchmarks_vitb16.yaml", "OUTPUT_DIR", str(tmp_path / "out")),
        *("DATALOADER.NUM_WORKERS", 0, "TEST.SAVE_PREDICTIONS", True),
        *("INPUT.MIN_SIZE_TEST", 32),
    )
    testing.evaluate(cfg, Trainer)
    assert model.words == WORDS
    results = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))
    assert list(results) == list(WORDS)
    for name in WORDS:
        wanted = expected_miou(prepared[name], evaluated(name))
        assert 0 < wanted < 100
        assert results[name]["mIoU"] == pytest.approx(wanted, rel=1e-12), name
        assert results[name]["pictures"] == 3
    page = (tmp_path / "out/results.md").read_text(encoding="utf-8")
    assert page.count("| void |") == 11, "three pictures each are not the official number"
    assert "ade20k_150_val: 3 pictures, but the published figures are over 2000" in page
    folder = tmp_path / "out/inference/pascal_voc_20b_val/predictions"
    again = ["--dataset", "pascal_voc_20b_val", "--output", tmp_path / "again"]
    assert tool("evaluate_predictions").main([str(word) for word in (folder, *again)]) == 0
    scored = json.loads((tmp_path / "again/results.json").read_text(encoding="utf-8"))
    assert scored == {"pascal_voc_20b_val": results["pascal_voc_20b_val"]}
