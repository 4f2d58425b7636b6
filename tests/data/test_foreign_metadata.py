"""Metadata of other projects' datasets, whose keys have our names and other meanings."""

import math

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import SemSegEvaluator
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.data.dataset_words import evaluation_vocabulary, training_vocabulary
from fgaseg_d2.data.labels import LabelSpec
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.evaluation import SegmentationEvaluator
from fgaseg_d2.evaluation.gallery import dataset_colors
from fgaseg_d2.evaluation.truth import GroundTruth
from fgaseg_d2.vocabulary.colors import default_colors
from tests import datasets
from tests.conftest import config

NAMES = ["background", "crack", "pot hole"]


@pytest.fixture
def records(tmp_path):
    """Three pictures, mostly background, as the sets of such benchmarks are."""
    made = []
    for index in range(3):
        rng = np.random.default_rng(index)
        label = rng.choice([0, 0, 0, 1, 2, 255], (20, 30)).astype(np.uint8)
        picture = np.zeros((20, 30, 3), np.uint8)
        made.append(datasets.write_pair(tmp_path, str(index), picture, label))
    return made


def figures(evaluator, records):
    evaluator.reset()
    for index, record in enumerate(records):
        scores = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(index))
        evaluator.process([record], [{"sem_seg": scores}])
    return evaluator.evaluate()["sem_seg"]


def load(file, dtype):
    return np.array(Image.open(file), dtype)


@pytest.mark.parametrize(
    "foreign",
    [
        {"background_class": 0},
        {"background_class": 255},
        {"background_class": 2},
        {"background_class": None},
        {"background_class": "background"},
        {"background_class": [0]},
        {"background_class": 0, "classes_of_interest": [1, 2], "unseen_classes": [1, 2]},
        {"unseen_classes": np.array([2])},
        {"unseen_classes": {"thing": ["cat"]}},
        {"unseen_classes": "crack"},
        {"vocabulary": {"token": 0}},
        {"vocabulary": "roads of the world"},
        {"vocabulary": ["a", "b"], "benchmark": 7},
        {"vocabulary": np.arange(4)},
        {"vocabulary": "/no/such/vocab.txt"},
        {"ignore_label": np.int64(255), "stuff_colors": np.zeros((3, 3))},
    ],
)
def test_figures_and_words_are_those_of_detectron2(records, foreign):
    metadata = {"stuff_classes": NAMES, "ignore_label": 255} | foreign
    with datasets.registered("roads", records, **metadata) as name:
        ours = figures(SegmentationEvaluator(GroundTruth.from_metadata(name)), records)
        theirs = SemSegEvaluator(name, distributed=False, sem_seg_loading_fn=load)
        theirs = figures(theirs, records)
        words = evaluation_vocabulary(
            config("tests/data/small.yaml"), LabelSpec.from_metadata(name)
        )
        assert training_vocabulary(LabelSpec.from_metadata(name)) == words
    shared = [key for key in theirs if "oundary" not in key and "B-I" not in key]
    assert list(ours) == shared
    assert all(ours[k] == theirs[k] or math.isnan(theirs[k]) for k in shared)
    assert ours["IoU-crack"] > 0 and words.class_names == tuple(NAMES)


def test_what_is_left_out_is_told(records, caplog):
    with datasets.registered("told", records, stuff_classes=NAMES, vocabulary=["x", "y"]) as name:
        assert Vocabulary.from_metadata(name).class_names == tuple(NAMES)
    (line,) = [line for line in caplog.messages if "'told'" in line]
    assert "vocabulary is left out" in line and "2 words for 3 classes" in line
    assert "fgaseg_d2={'vocabulary': ...}" in line


@pytest.mark.parametrize("form", [["x", "y", "z"], "x|w,y,z", np.array(["x", "y", "z"])])
def test_words_for_every_class_are_read_as_before(records, form):
    with datasets.registered("worded", records, stuff_classes=NAMES, vocabulary=form) as name:
        assert Vocabulary.from_metadata(name).class_names == ("x", "y", "z")


def test_our_keys_stand_under_one_of_their_own(records):
    own = {"vocabulary": "a,b,c,d,e", "background_class": 1, "unseen_classes": np.array(["crack"])}
    metadata = {"stuff_classes": NAMES[:2], "background_class": 0, "fgaseg_d2": own}
    with datasets.registered("scoped", records, **metadata) as name:
        truth = GroundTruth.from_metadata(name)
        assert (truth.background_class, truth.unseen_indices) == (1, [1])
        assert (truth.evaluated(np.array([[0, 1, 4]])) == [[0, 1, 1]]).all()
        labels = LabelSpec.from_metadata(name)
        assert len(evaluation_vocabulary(config("tests/data/small.yaml"), labels)) == 5


def test_the_old_key_counts_where_either_meaning_gives_the_same(records):
    """Predictions of the dataset's own classes stay as they are; only others become the last."""
    with datasets.registered("old", records, stuff_classes=NAMES, background_class=2) as name:
        truth = GroundTruth.from_metadata(name)
        assert (truth.evaluated(np.array([[0, 1, 2, 7]])) == [[0, 1, 2, 2]]).all()
        # Words of another choice must still fit the classes.
        cfg = config("tests/data/small.yaml", "DATASETS.TEST", (name,))
        cfg.DATASETS.TEST_VOCABULARIES = ("a,b,c,d",)
        with pytest.raises(ValueError, match="expected 3 classes for the labels of 'old', got 4"):
            evaluation_vocabulary(cfg, LabelSpec.from_metadata(name))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"background_clas": 1}, "got 'background_clas'; did you mean 'background_class'"),
        (["vocabulary"], "'own' to be a dict"),
        ({"background_class": "1"}, "'own': expected background_class to be a whole number"),
        ({"background_class": 3}, "'own' has the background_class 3, but its 3"),
        ({"unseen_classes": [1]}, "'own': expected unseen_classes as a list of names"),
        ({"unseen_classes": ["cracks"]}, "'own', got 'cracks'; did you mean 'crack'"),
    ],
)
def test_our_own_key_must_be_right(records, own, message):
    with (
        datasets.registered("own", records, stuff_classes=NAMES, fgaseg_d2=own) as name,
        pytest.raises(ValueError, match=message) as caught,
    ):
        GroundTruth.from_metadata(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "classes",
    [
        tuple(NAMES),
        np.array(NAMES),
        np.array(NAMES, object),
        dict.fromkeys(NAMES).keys(),
    ],
    ids=["tuple", "array", "objects", "keys"],
)
def test_any_sequence_of_classes_will_do(records, classes):
    with datasets.registered("listed", records, stuff_classes=classes) as name:
        labels = LabelSpec.from_metadata(name)
        assert labels.classes == tuple(NAMES) and all(type(c) is str for c in labels.classes)
        assert Vocabulary.from_metadata(name).class_names == tuple(NAMES)
        assert Vocabulary.coerce(MetadataCatalog.get(name)).class_names == tuple(NAMES)
        assert figures(SegmentationEvaluator(GroundTruth.from_metadata(name)), records)["mIoU"] > 0


@pytest.mark.parametrize(
    "classes",
    [
        "crack",
        {0: "background", 1: "crack"},
        {"background", "crack"},
        np.arange(3),
        np.array(b"crack"),
        np.array([NAMES, NAMES]),
        [b"background", b"crack"],
        iter(NAMES),
        7,
        ["background", None],
        ["background", "crack\nhole"],
        [" ", "crack"],
    ],
    ids=lambda classes: type(classes).__name__,
)
def test_other_classes_are_an_error_that_names_the_dataset(records, classes):
    with (
        datasets.registered("unlisted", records, stuff_classes=classes) as name,
        pytest.raises(ValueError, match="'unlisted'.* stuff_classes") as caught,
    ):
        training_vocabulary(LabelSpec.from_metadata(name))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("empty", [[], (), np.array([]), None])
def test_no_classes_are_said_as_before(records, empty):
    with (
        datasets.registered("none", records, stuff_classes=empty) as name,
        pytest.raises(ValueError, match="'none' has no stuff_classes"),
    ):
        LabelSpec.from_metadata(name)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, 255), (np.uint8(255), 255), (255.0, 255), (-1, -1)]
)
def test_ignore_labels_that_are_whole_numbers(records, value, expected):
    with datasets.registered("ignored", records, ignore_label=value) as name:
        found = LabelSpec.from_metadata(name).ignore_label
        assert found == expected and type(found) is int


@pytest.mark.parametrize("value", [[255], "255", 254.5, {255}, True, float("nan")])
def test_other_ignore_labels_are_an_error_that_names_the_dataset(records, value):
    with (
        datasets.registered("ignored", records, ignore_label=value) as name,
        pytest.raises(ValueError, match="'ignored': expected ignore_label to be a whole number"),
    ):
        LabelSpec.from_metadata(name)


@pytest.mark.parametrize(
    ("colors", "used"),
    [
        (np.array([[1, 2, 3], [4, 5, 6], [7, 8, 255]]), True),
        ([(1, 2, 3)] * 3, True),
        (np.random.default_rng(0).random((3, 3)), False),
        ([(1, 2, 3)] * 2, False),
        ([[1, 2, 300]] * 3, False),
        (["red", "green", "blue"], False),
        ({0: (1, 2, 3)}, False),
    ],
)
def test_colors_of_another_kind_are_left(records, colors, used):
    with datasets.registered("hues", records, stuff_classes=NAMES, stuff_colors=colors) as name:
        found = dataset_colors(LabelSpec.from_metadata(name))
    wanted = np.array(colors) if used else default_colors(NAMES)
    assert found.dtype == np.uint8 and (found == wanted).all()


def test_keys_of_a_record_are_no_requests_to_the_model(records):
    """A model reads "output" and "scale" in its input; in a record they mean something else."""
    record = records[0] | {"scale": 0.25, "output": "segmentation", "city": "x"}
    with datasets.registered("keys", records, stuff_classes=NAMES) as name:
        sample = SemanticMapper(config("tests/data/small.yaml"), name, is_train=False)(record)
    assert "scale" not in sample and "output" not in sample and sample["city"] == "x"
