"""Figures against scikit-learn, Detectron2's SemSegEvaluator and definitions, to the last digit."""

import math

import cv2
import numpy as np
import pytest
import torch
from detectron2.evaluation import SemSegEvaluator
from PIL import Image
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

from fgaseg_d2.data.labels import LabelSpec
from fgaseg_d2.evaluation import SegmentationEvaluator, metrics
from fgaseg_d2.evaluation.confusion import boundary_counts, confusion_matrix
from fgaseg_d2.evaluation.tally import Extras, Tally
from fgaseg_d2.evaluation.truth import GroundTruth
from tests import datasets


def pair(seed, classes, ignore, size=(41, 57), absent=()):
    """A random truth with ignored pixels, and a prediction that is mostly right."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([c for c in range(classes) if c not in absent], size)
    wrong = rng.integers(0, classes, size)
    prediction = np.where(rng.random(size) < 0.6, truth, wrong)
    return prediction, np.where(rng.random(size) < 0.2, ignore, truth)


def write(folder, pairs, ignore):
    """Truths as files; the records with scores whose argmax are the predictions."""
    records = []
    for index, (_, truth) in enumerate(pairs):
        image = np.zeros((*truth.shape, 3), np.uint8)
        wide = np.uint16 if ignore > 255 else np.uint8
        records.append(datasets.write_pair(folder, str(index), image, truth.astype(wide)))
    return records


def scores_of(prediction, classes):
    scores = np.random.default_rng(0).random((classes, *prediction.shape), dtype=np.float32) / 2
    np.put_along_axis(scores, prediction[None], 1, 0)
    return torch.from_numpy(scores)


def evaluate(evaluator, records, outputs):
    evaluator.reset()
    for record, output in zip(records, outputs):
        evaluator.process([record], [output])
    return evaluator.evaluate()["sem_seg"]


@pytest.mark.parametrize(("classes", "ignore"), [(7, 255), (300, 65535)])
def test_figures_are_those_of_detectron2_and_scikit_learn(tmp_path, classes, ignore):
    absent = (2, 5)  # predicted, but not in the truth
    pairs = [pair(seed, classes, ignore, absent=absent) for seed in range(3)]
    records = write(tmp_path, pairs, ignore)
    names = [f"class {index}" for index in range(classes)]
    outputs = [{"sem_seg": scores_of(prediction, classes)} for prediction, _ in pairs]
    with datasets.registered("figures", records, stuff_classes=names, ignore_label=ignore) as name:
        ours = evaluate(SegmentationEvaluator(GroundTruth.from_metadata(name)), records, outputs)
        theirs = SemSegEvaluator(
            name,
            distributed=False,
            sem_seg_loading_fn=lambda file, dtype: np.asarray(Image.open(file)).astype(dtype),
        )
        theirs = evaluate(theirs, records, outputs)
    theirs = {key: value for key, value in theirs.items() if "Boundary" not in key}
    theirs = {key: value for key, value in theirs.items() if "B-Iou" not in key}
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        assert ours[key] == value or (math.isnan(ours[key]) and math.isnan(value)), key

    truth = np.concatenate([truth.ravel() for _, truth in pairs])
    prediction = np.concatenate([prediction.ravel() for prediction, _ in pairs])
    truth, prediction = truth[truth != ignore], prediction[truth != ignore]
    present = np.unique(truth)
    assert not set(absent) & set(present)
    assert set(absent) <= set(prediction)
    arguments = {"y_true": truth, "y_pred": prediction, "labels": present}
    wanted = {
        "mIoU": jaccard_score(**arguments, average="macro"),
        "fwIoU": jaccard_score(**arguments, average="weighted"),
        "mACC": recall_score(**arguments, average="macro"),
        "pACC": accuracy_score(truth, prediction),
    }
    for key, value in wanted.items():
        assert ours[key] == pytest.approx(100 * value, rel=1e-12), key
    each = jaccard_score(**arguments, average=None)
    for label, value in zip(present, each):
        assert ours[f"IoU-class {label}"] == pytest.approx(100 * value, rel=1e-12)


def test_the_two_rules_of_miou():
    """A class that is only predicted: left out since July 2022, counted as 0 before."""
    matrix = confusion_matrix(np.array([[0, 0, 1, 2]]), np.array([[0, 0, 1, 1]]), 3, 255)
    assert matrix.tolist() == [[2, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert metrics.summary(matrix)["mIoU"] == pytest.approx(75)
    assert metrics.old_rule_miou(matrix) == pytest.approx(50)


def test_nothing_to_score_gives_no_number_and_no_warning(recwarn):
    matrix = confusion_matrix(np.zeros((2, 2), int), np.full((2, 2), 255), 3, 255)
    figures = metrics.summary(matrix) | metrics.split_mious(matrix, [1])
    assert all(math.isnan(value) for value in figures.values())
    assert math.isnan(metrics.old_rule_miou(matrix))
    assert not recwarn.list


def test_a_prediction_may_be_anything_where_the_truth_is_ignored():
    matrix = confusion_matrix(np.array([[99, 1]]), np.array([[255, 1]]), 2, 255)
    assert matrix.tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        ([[0, 3]], [[0, 1]], "prediction: expected classes 0 .. 2, got 3"),
        ([[0, -1]], [[0, 1]], "got -1"),
        # Such a value would otherwise count as another pair of classes.
        ([[0, 1]], [[0, 3]], "truth: expected classes 0 .. 2, got 3"),
        ([[0, 1]], [[0, 1, 1]], "expected 1 x 3 pixels as in the truth, got 1 x 2"),
    ],
)
def test_values_that_would_corrupt_the_matrix(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(np.array(prediction), np.array(truth), 3, 255)


def test_seen_unseen_and_their_harmonic_mean():
    matrix = np.array([[8, 0, 0, 0], [2, 5, 0, 0], [0, 5, 10, 0], [0, 0, 0, 0]])
    iou = [8 / 10, 5 / 12, 10 / 15]  # class 3 does not occur
    split = metrics.split_mious(matrix, [1, 3])
    seen, unseen = 50 * (iou[0] + iou[2]), 100 * iou[1]
    assert split["seen_mIoU"] == pytest.approx(seen)
    assert split["unseen_mIoU"] == pytest.approx(unseen)
    assert split["harmonic_mIoU"] == pytest.approx(2 / (1 / seen + 1 / unseen))
    nothing = metrics.split_mious(np.array([[0, 0], [1, 0]]), [1])
    assert nothing["seen_mIoU"] == 0 and math.isnan(nothing["unseen_mIoU"])


def blobs(seed, classes, size=(60, 90)):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (6, 9)).astype(np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST).astype(int)


def band(mask):
    """Cheng et al.'s boundary band of one class by its definition: mask minus eroded mask."""
    distance = max(1, round(0.02 * math.hypot(*mask.shape)))
    kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    padded = np.pad(mask.astype(np.uint8), distance)
    inner = cv2.erode(padded, kernel)[distance:-distance, distance:-distance]
    return mask & (inner == 0)


@pytest.mark.parametrize("classes", [2, 5, 300])
def test_boundary_iou_by_its_definition(classes):
    truth, prediction = blobs(0, classes), blobs(1, classes)
    prediction[:, 40:] = truth[:, 40:]
    both, true, predicted = boundary_counts(prediction, truth, classes, 65535)
    for label in range(classes):
        bands = band(truth == label), band(prediction == label)
        assert true[label] == bands[0].sum() and predicted[label] == bands[1].sum()
        assert both[label] == (bands[0] & bands[1]).sum()


def test_boundary_iou_of_two_classes_is_that_of_detectron2(tmp_path):
    """With more classes Detectron2 subtracts class numbers, which are no classes any more."""
    truth, prediction = blobs(2, 2), blobs(3, 2)
    records = write(tmp_path, [(prediction, truth)], 255)
    outputs = [{"sem_seg": scores_of(prediction, 2)}]
    names = ["ground", "figure"]
    with datasets.registered("edges", records, stuff_classes=names, ignore_label=255) as name:
        truths = GroundTruth.from_metadata(name)
        ours = evaluate(SegmentationEvaluator(truths, Extras(boundary_iou=True)), records, outputs)
        theirs = SemSegEvaluator(
            name,
            distributed=False,
            sem_seg_loading_fn=lambda file, dtype: np.asarray(Image.open(file)).astype(dtype),
        )
        theirs = evaluate(theirs, records, outputs)
    for key in ("BoundaryIoU-figure", "min(IoU, B-Iou)-figure"):
        assert 0 < ours[key] == theirs[key] < 100


def test_boundaries_along_ignored_pixels_do_not_cost_anything():
    truth = blobs(4, 3)
    prediction = truth.copy()
    truth[20:40, 30:60] = 255
    both, true, predicted = boundary_counts(prediction, truth, 3, 255)
    assert both.tolist() == true.tolist() == predicted.tolist() and both.sum() > 0


def test_shards_add_up_to_the_whole():
    pairs = {str(seed): pair(seed, 5, 255) for seed in range(6)}
    truth = GroundTruth(LabelSpec("shards", tuple("abcde"), 255), {}, unseen_classes=("b",))
    whole, shards = Tally(5, 255, Extras(True, True)), []
    for name, (prediction, label) in pairs.items():
        whole.add(name, prediction, label)
        shards.append(Tally(5, 255, Extras(True, True)))
        shards[-1].add(name, prediction, label)
    merged = whole.merge(shards)
    assert merged.results(truth) == whole.results(truth) and merged.pictures == whole.pictures
    with pytest.raises(ValueError, match="0 was evaluated twice"):
        whole.merge([*shards, shards[0]])
