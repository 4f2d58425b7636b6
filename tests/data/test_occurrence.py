"""Classes that no label shows are told by the check, the training and the evaluation alike."""

import numpy as np
import pytest

from fgaseg_d2.data import occurrence
from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.loaders import build_train_loader
from fgaseg_d2.engine import testing
from tests import datasets
from tests.conftest import config, tool
from tests.engine.test_testing import KnowingTrainer, Painter, evaluation_config

MASKS = "1 class occurs in no picture: 'crack'; the label files hold only 0 (road) and 255, and 255"
NOWHERE = "1 class occurs in no picture: 'crack'"
EMPTY = "2 classes occur in no picture: 'road', 'crack'; the label files hold only 255, and 255"


def write(folder, *values, count=3, size=(48, 64)):
    """Label files of some values alone, in stripes."""
    folder.mkdir()
    label = np.resize(np.array(values, np.uint8), size)
    picture = np.zeros((*size, 3), np.uint8)
    return [datasets.write_pair(folder, str(index), picture, label) for index in range(count)]


@pytest.fixture(params=[((0, 255), MASKS), ((0,), NOWHERE), ((255,), EMPTY), ((0, 1, 255), None)])
def case(request, tmp_path):
    values, message = request.param
    records = write(tmp_path / "files", *values)
    with datasets.registered("cracks", records, stuff_classes=["road", "crack"]):
        yield records, message


def said(text, message):
    assert (message or "in no picture") in text if message else "in no picture" not in text


def test_the_check_says_it(case, capsys):
    _, message = case
    said(check_dataset("cracks").text(), message)
    assert tool("check_dataset").main(["tests/data/small.yaml", "--datasets", "cracks"]) == 0
    said(capsys.readouterr().out, message)


def test_the_training_says_it_before_the_first_step(case, caplog):
    _, message = case
    cfg = config("tests/data/small.yaml", "DATASETS.TRAIN", ("cracks",))
    build_train_loader(cfg, seed=0)
    said(caplog.text, message)
    if message:
        assert "cracks: 3 label files to train on: " in caplog.text


class TwoWords(Painter):
    def forward(self, batch):
        return [{"sem_seg": one["sem_seg"][:2]} for one in super().forward(batch)]


def test_the_evaluation_says_it_in_log_and_page(case, tmp_path, monkeypatch, caplog):
    _, message = case
    monkeypatch.setattr(KnowingTrainer, "model", TwoWords())
    cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("cracks",), "TEST.SAVE_PREDICTIONS", True)
    testing.evaluate(cfg, KnowingTrainer)
    said(caplog.text, message)
    said((tmp_path / "output" / "results.md").read_text(), message and message.partition(";")[0])


def test_scoring_saved_predictions_says_it(case, tmp_path, monkeypatch, caplog, capsys):
    _, message = case
    monkeypatch.setattr(KnowingTrainer, "model", TwoWords())
    cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("cracks",), "TEST.SAVE_PREDICTIONS", True)
    testing.evaluate(cfg, KnowingTrainer)
    caplog.clear()
    folder = tmp_path / "output" / "inference" / "cracks" / "predictions"
    assert tool("evaluate_predictions").main([str(folder)]) == 0
    said(caplog.text, message)
    said(capsys.readouterr().out, message and message.partition(";")[0])


def test_of_a_large_dataset_a_part_is_looked_at(tmp_path, monkeypatch, caplog):
    """Then a rare class may be missing by chance; that there is one class at most is told."""
    monkeypatch.setattr(occurrence, "_LOOKED_AT", 5 * 48 * 64)
    masks = write(tmp_path / "masks", 0, 255, count=20)
    rare = write(tmp_path / "rare", 0, 1, count=20)
    cfg = config("tests/data/small.yaml", "DATASETS.TRAIN", ("masks", "rare"))
    with (
        datasets.registered("masks", masks, stuff_classes=["a", "b"]),
        datasets.registered("rare", rare, stuff_classes=["a", "b", "c"]),
    ):
        build_train_loader(cfg, seed=0)
    assert "masks: 20 label files to train on, of which 5 were looked at: 1 class" in caplog.text
    assert "rare: 20 label files" not in caplog.text


def test_a_bad_label_is_found_before_the_training(tmp_path):
    records = write(tmp_path / "files", 0, 1, 7)
    cfg = config("tests/data/small.yaml", "DATASETS.TRAIN", ("sevens",))
    with (
        datasets.registered("sevens", records, stuff_classes=["road", "crack"]),
        pytest.raises(ValueError, match=r"0.label.png: expected label values 0 .. 1 .* got 7"),
    ):
        build_train_loader(cfg, seed=0)
