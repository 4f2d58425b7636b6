"""SegmentationEvaluator on registered datasets: what peers silently score wrong."""

import numpy as np
import pytest
import torch
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.data.labels import LabelSpec
from fgaseg_d2.evaluation import SegmentationEvaluator
from fgaseg_d2.evaluation.tally import Extras
from fgaseg_d2.evaluation.truth import GroundTruth
from tests import datasets


def records_of(folder, *labels, names="abcdef"):
    """Label maps on disk with a picture each."""
    folder.mkdir(exist_ok=True)
    return [
        datasets.write_pair(folder, name, np.zeros((*label.shape, 3), np.uint8), label)
        for name, label in zip(names, labels)
    ]


def evaluate(name, records, predictions, unseen=""):
    evaluator = SegmentationEvaluator(GroundTruth.from_metadata(name, unseen))
    evaluator.reset()
    for record, prediction in zip(records, predictions):
        evaluator.process([record], [{"labels": torch.as_tensor(prediction.astype(np.int32))}])
    return evaluator.evaluate()["sem_seg"]


def test_many_classes_predicted_fewer_evaluated(tmp_path):
    """PAS-20b: 59 words, of which all from 20 on are background."""
    truth = np.array([[0, 19, 20, 20], [20, 20, 1, 255]], np.uint8)
    prediction = np.array([[0, 19, 20, 58], [33, 1, 1, 58]])
    records = records_of(tmp_path, truth)
    scores = torch.nn.functional.one_hot(torch.as_tensor(prediction), 59).permute(2, 0, 1)
    meta = {"stuff_classes": [f"c{i}" for i in range(20)] + ["background"], "ignore_label": 255}
    with datasets.registered(
        "collapse", records, **meta, fgaseg_d2={"background_class": 20}
    ) as name:
        truths = GroundTruth.from_metadata(name)
        evaluator = SegmentationEvaluator(truths, Extras(boundary_iou=True))
        evaluator.process(records, [{"sem_seg": scores.float()}])
        results = evaluator.evaluate()["sem_seg"]
    assert results["IoU-background"] == pytest.approx(75)
    assert results["IoU-c1"] == pytest.approx(50)
    assert results["mIoU"] == pytest.approx((100 + 100 + 75 + 50) / 4)
    assert results["BoundaryIoU-background"] == pytest.approx(75)
    with (
        datasets.registered("no_collapse", records, **meta) as name,
        pytest.raises(ValueError, match=r"a.png: prediction: .* 0 .. 20, got 58.*background_class"),
    ):
        evaluate(name, records, [prediction])


def test_labels_beyond_8_bits_keep_their_value(tmp_path):
    """Read as 8 bits, 300 and 44 are one class, and 255 is none; 65535 is what is ignored."""
    truth = np.array([[255, 300, 44, 65535]], np.uint16)
    names = [f"c{index}" for index in range(459)]
    records = records_of(tmp_path, truth)
    with datasets.registered("wide", records, stuff_classes=names, ignore_label=65535) as name:
        results = evaluate(name, records, [np.array([[255, 300, 300, 7]])])
    assert results["IoU-c255"] == 100 and results["IoU-c300"] == 50 and results["IoU-c44"] == 0
    assert results["mIoU"] == pytest.approx(50) and results["pACC"] == pytest.approx(200 / 3)


def test_an_ignore_label_that_the_files_do_not_use_is_an_error(tmp_path):
    """PC-459 as the peers register it: ignore 459, files with 65535; elsewhere class 215 wins."""
    truth = np.array([[0, 1, 65535, 65535]], np.uint16)
    names = [f"c{index}" for index in range(459)]
    records = records_of(tmp_path, truth)
    with (
        datasets.registered("quirk", records, stuff_classes=names, ignore_label=459) as name,
        pytest.raises(ValueError, match=r"a.label.png: expected label values .* got 65535"),
    ):
        evaluate(name, records, [np.array([[0, 1, 2, 3]])])


def test_palette_files_count_by_index(tmp_path):
    truth = np.array([[1, 0, 2, 255]], np.uint8)
    records = records_of(tmp_path, truth)
    image = Image.fromarray(truth, mode="P")
    image.putpalette([value for color in range(256) for value in (color * 7 % 256, 90, 0)])
    image.save(records[0]["sem_seg_file_name"])
    meta = {"stuff_classes": ["x", "y", "z"], "ignore_label": 255}
    with datasets.registered("palette", records, **meta) as name:
        assert evaluate(name, records, [np.array([[1, 0, 2, 0]])])["mIoU"] == 100


def test_truth_is_found_by_the_picture_and_not_by_position(tmp_path):
    first, second = np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8)
    records = records_of(tmp_path, first, second)
    with datasets.registered("order", records, stuff_classes=["x", "y"]) as name:
        results = evaluate(name, records[::-1], [second, first])
    assert results["mIoU"] == 100


def test_equal_scores_give_the_first_class(tmp_path):
    records = records_of(tmp_path, np.zeros((2, 3), np.uint8))
    with datasets.registered("ties", records, stuff_classes=["pot", "pot again"]) as name:
        evaluator = SegmentationEvaluator(GroundTruth.from_metadata(name))
        evaluator.process(records, [{"sem_seg": torch.ones(2, 2, 3)}])
        assert evaluator.evaluate()["sem_seg"]["pACC"] == 100


def test_pictures_that_come_twice_or_never(tmp_path, caplog):
    blank = np.zeros((2, 3), np.uint8)
    records = records_of(tmp_path, blank, blank, blank)
    with datasets.registered("shards", records) as name:
        with pytest.raises(ValueError, match=r"a.png was evaluated twice"):
            evaluate(name, [records[0], records[0]], [blank, blank])
        with caplog.at_level("WARNING"):
            evaluate(name, records[1:2], [blank])
        assert "2 of 3 pictures were not evaluated, such as" in caplog.text
        stranger = {"file_name": "elsewhere.png"}
        with pytest.raises(ValueError, match="elsewhere.png is not in the dataset 'shards'"):
            evaluate(name, [stranger], [blank])
    with (
        datasets.registered("doubled", [*records, records[0]]) as name,
        pytest.raises(ValueError, match=r"'doubled' lists .*a.png twice"),
    ):
        GroundTruth.from_metadata(name)


def test_a_prediction_of_another_size(tmp_path):
    records = records_of(tmp_path, np.zeros((2, 3), np.uint8))
    with (
        datasets.registered("sizes", records) as name,
        pytest.raises(ValueError, match=r"a.png: .*expected 2 x 3 pixels .* got 3 x 2"),
    ):
        evaluate(name, records, [np.zeros((3, 2), int)])


def test_unseen_classes_of_metadata_and_configuration(tmp_path):
    truth = np.array([[0, 1, 2, 2]], np.uint8)
    records = records_of(tmp_path, truth)
    prediction = np.array([[0, 1, 2, 1]])
    meta = {"stuff_classes": ["cat, kitten", "dog", "sea"], "unseen_classes": ["sea"]}
    (tmp_path / "unseen.txt").write_text("cat\\, kitten\nsea\n", encoding="utf-8")
    with datasets.registered("split", records, **meta) as name:
        results = evaluate(name, records, [prediction])
        assert results["seen_mIoU"] == 75 and results["unseen_mIoU"] == 50
        assert results["harmonic_mIoU"] == pytest.approx(60)
        results = evaluate(name, records, [prediction], "dog,sea")
        assert results["seen_mIoU"] == 100 and results["unseen_mIoU"] == 50
        results = evaluate(name, records, [prediction], str(tmp_path / "unseen.txt"))
        assert results["seen_mIoU"] == 50 and results["unseen_mIoU"] == 75
        with pytest.raises(ValueError, match="unseen classes of 'split', got 'dgo'; did .*'dog'"):
            GroundTruth.from_metadata(name, "dgo")


def test_what_no_class_reaches_is_class_0_where_that_is_background():
    labels = LabelSpec("toy", ("background", "cat", "dog"), 255)
    truth = GroundTruth(labels, {})
    cat, dog, none = 0, 1, 2  # channels of the words
    prediction = np.array([[cat, dog, none]])
    words = Vocabulary.parse("cat,dog").with_background(threshold=0.4)
    assert truth.evaluated(prediction, words).tolist() == [[1, 2, 0]]
    named = Vocabulary.parse("background,cat,dog")
    assert truth.evaluated(prediction, named).tolist() == [[0, 1, 2]]
    other = GroundTruth(LabelSpec("toy", ("cat", "dog", "background"), 255), {})
    assert other.evaluated(prediction, words).tolist() == [[0, 1, 2]]
