"""Classes that a training must not see: read, withheld from every method, reported."""

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog

from fgaseg_d2.data import register_folders
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.engine.testing import build_evaluator
from fgaseg_d2.vocabulary import Vocabulary
from fgaseg_d2.vocabulary.zero_shot import SPLITS, unseen_names
from tests.conftest import build_small, config

WORDS = "floor,cat|kitten,dog,sky"
DENSE = ("MODEL.META_ARCHITECTURE", "DenseCLIP")
FGASEG = ("MODEL.FGASEG.LOSS.SAMPLED_CLASSES", 0)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The same pictures twice: with all labels, and with 255 in the place of "dog"."""
    folder = tmp_path_factory.mktemp("unseen")
    random = np.random.default_rng(0)
    for kind in ("images", "planted", "hidden"):
        (folder / kind).mkdir()
    for index in range(3):
        label = np.kron(random.integers(0, 4, (4, 4)), np.ones((16, 16))).astype(np.uint8)
        label[:4] = 255
        cv2.imwrite(
            str(folder / "images" / f"{index}.png"), random.integers(0, 255, (64, 64, 3), np.uint8)
        )
        cv2.imwrite(str(folder / "planted" / f"{index}.png"), label)
        cv2.imwrite(str(folder / "hidden" / f"{index}.png"), np.where(label == 2, 255, label))
    for kind in ("planted", "hidden"):
        register_folders(f"unseen_{kind}", folder / "images", folder / kind, WORDS)
    own = {"vocabulary": Vocabulary.coerce(WORDS), "unseen_classes": ["dog"]}
    MetadataCatalog.get("unseen_planted").fgaseg_d2.update(own)
    yield folder
    for kind in ("planted", "hidden"):
        DatasetCatalog.remove(f"unseen_{kind}")
        MetadataCatalog.remove(f"unseen_{kind}")


def batch(kind, unseen, *opts):
    cfg = config("tests/data/small.yaml", *opts)
    cfg.DATASETS.UNSEEN = unseen
    mapper = SemanticMapper(cfg, f"unseen_{kind}", is_train=True)
    found = []
    for seed, record in enumerate(DatasetCatalog.get(f"unseen_{kind}")):
        np.random.seed(seed)
        found.append(mapper(record))
    return found


def step(opts, samples):
    torch.manual_seed(0)
    model = build_small(*opts).train()
    torch.manual_seed(1)
    losses = model(samples)
    sum(losses.values()).backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {name: loss.item() for name, loss in losses.items()}, gradients


@pytest.mark.parametrize("unseen", ["dog", "2", "metadata"])
@pytest.mark.parametrize("opts", [FGASEG, DENSE], ids=["fgaseg", "dense_clip"])
def test_training_never_sees_an_unseen_label(datasets, opts, unseen):
    """Loss and gradients are those of 255 in its place."""
    planted = batch("planted", unseen)
    assert any((sample["sem_seg"] == 3).any() for sample in planted)
    assert not any((sample["sem_seg"] == 2).any() for sample in planted)
    for ours, theirs in zip(planted, batch("hidden", ""), strict=True):
        assert torch.equal(ours["sem_seg"], theirs["sem_seg"])
        assert torch.equal(ours["image"], theirs["image"])
    told = (*opts, "DATASETS.UNSEEN", "metadata", "DATASETS.TRAIN", ("unseen_planted",))
    losses, gradients = step(told, planted)
    others = (*opts, "DATASETS.UNSEEN", "dog", "DATASETS.TRAIN", ("unseen_hidden",))
    expected, wanted = step(others, batch("hidden", "dog"))
    assert losses == expected
    assert gradients.keys() == wanted.keys()
    assert all(torch.equal(gradients[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("opts", [FGASEG, DENSE], ids=["fgaseg", "dense_clip"])
def test_unseen_words_do_not_compete_in_training(datasets, opts):
    """As for a dataset that never had the class."""
    told = (*opts, "DATASETS.UNSEEN", "dog", "DATASETS.TRAIN", ("unseen_planted",))
    losses, gradients = step(told, batch("planted", "dog"))
    fewer = [
        sample
        | {
            "vocabulary": Vocabulary.coerce("floor,cat|kitten,sky"),
            "sem_seg": torch.where(sample["sem_seg"] == 3, 2, sample["sem_seg"]),
        }
        for sample in batch("planted", "dog")
    ]
    expected, wanted = step(opts, fewer)
    assert losses == pytest.approx(expected, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-5, rtol=1e-3)


def test_a_sample_says_which_pixels_are_withheld(datasets):
    crop = ("INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", [96, 96])
    withheld = batch("planted", "dog", *crop)
    for sample, plain in zip(withheld, batch("planted", "", *crop)):
        assert torch.equal(sample["unlabelled"], plain["sem_seg"] == 2)
        assert "unlabelled" not in plain
    assert any(sample["unlabelled"].any() for sample in withheld)


def test_only_unseen_classes_leave_nothing_to_train_on(datasets):
    told = ("DATASETS.UNSEEN", "floor,cat,dog,sky", "DATASETS.TRAIN", ("unseen_planted",))
    with pytest.raises(ValueError, match="expected a seen class to train on, got none among 4"):
        step(told, batch("planted", "floor,cat,dog,sky"))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", ()),
        ("dog", ("dog",)),
        ("3,1", ("sky", "cat")),
        ("metadata", ("dog",)),
        ("sky, dog", ("sky", "dog")),
    ],
)
def test_classes_by_name_number_and_metadata(datasets, words, found):
    metadata = MetadataCatalog.get("unseen_planted")
    assert unseen_names(words, metadata.stuff_classes, metadata) == found


def test_classes_of_a_file(datasets, tmp_path):
    (tmp_path / "unseen.txt").write_text("cat\n3\n")
    metadata = MetadataCatalog.get("unseen_planted")
    found = unseen_names(str(tmp_path / "unseen.txt"), metadata.stuff_classes, metadata)
    assert found == ("cat", "sky")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("dgo", "unseen classes of 'unseen_planted', got 'dgo'; did you mean 'dog'"),
        ("4", "numbers 0 .. 3, got '4'"),
        ("voc_15_6", "did you mean 'voc_15_5'"),
        ("voc_15_5", "got 'pottedplant'"),
    ],
)
def test_what_is_no_class_is_one_line(datasets, words, message):
    with pytest.raises(ValueError, match=message) as error:
        batch("planted", words)
    assert "\n" not in str(error.value)


# From the published label files and configurations: the numbers in each set's own order.
NUMBERS = {
    "voc_15_5": ("pascal_voc_20_val", [15, 16, 17, 18, 19]),
    "coco_stuff_156_15": (
        "coco_stuff_val",
        [19, 23, 28, 29, 36, 51, 76, 88, 94, 112, 133, 136, 137, 157, 160],
    ),
    "context_49_10_a": ("pascal_context_59_val", [0, 6, 7, 14, 19, 24, 31, 33, 48, 54]),
    "context_49_10_b": ("pascal_context_59_val", [0, 2, 3, 7, 9, 13, 17, 19, 31, 37]),
}


@pytest.mark.parametrize("split", SPLITS)
def test_published_splits_have_the_published_numbers(split):
    dataset, numbers = NUMBERS[split]
    metadata = MetadataCatalog.get(dataset)
    found = unseen_names(split, metadata.stuff_classes, metadata)
    assert sorted(map(metadata.stuff_classes.index, found)) == numbers
    seen, unseen = map(int, split.removesuffix("_a").removesuffix("_b").split("_")[-2:])
    assert (len(metadata.stuff_classes) - len(found), len(found)) == (seen, unseen)


@pytest.mark.parametrize(("unseen", "found"), [("", ("dog",)), ("0", ("floor",))])
def test_evaluation_reports_them(datasets, tmp_path, unseen, found):
    cfg = config("tests/data/small.yaml", "OUTPUT_DIR", str(tmp_path))
    cfg.DATASETS.UNSEEN = unseen
    assert build_evaluator(cfg, "unseen_planted").truth.unseen_classes == found
