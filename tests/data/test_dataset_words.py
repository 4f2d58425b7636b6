"""The words that the model gets for a dataset: its own, or those of DATASETS.TEST_VOCABULARIES."""

import pytest
from detectron2.data import MetadataCatalog

from fgaseg_d2 import Vocabulary
from fgaseg_d2.data.dataset_words import with_test_set
from fgaseg_d2.data.loaders import check_train_datasets
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from tests import datasets
from tests.conftest import config


def words(dataset, *opts, is_train=False):
    """What the mapper hands to the model."""
    return SemanticMapper(config("tests/data/small.yaml", *opts), dataset, is_train).vocabulary


def chosen(*pairs):
    names, vocabularies = zip(*pairs, strict=True)
    return ("DATASETS.TEST", names, "DATASETS.TEST_VOCABULARIES", vocabularies)


@pytest.fixture
def blocks(tmp_path):
    with datasets.registered("blocks", datasets.write_blocks(tmp_path, count=1)) as name:
        yield name


def test_a_dataset_has_its_own_words(blocks):
    assert words(blocks).class_names == datasets.CLASSES
    assert words("pascal_voc_20b_val") == Vocabulary.from_benchmark("pascal_voc_20b")
    assert words("ade20k_847_val") == Vocabulary.from_benchmark("ade20k_847")
    wide = ("MODEL.SEM_SEG_HEAD.IGNORE_VALUE", 65535)
    assert len(words("ade20k_847_train", *wide, is_train=True).entries) == 847


@pytest.mark.parametrize("form", ["x|y,b,c,d", (("x", "y"), "b", "c", "d"), "words.txt"])
def test_vocabulary_of_the_metadata_comes_before_the_classes(blocks, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("x|y\nb\nc\nd\n")
    MetadataCatalog.get(blocks).vocabulary = form
    for is_train in (True, False):
        assert words(blocks, is_train=is_train).classes[0] == ("x", "y")
    assert Vocabulary.coerce(blocks).class_names == ("x", "b", "c", "d")


def test_variants_are_chosen_by_test_set(blocks):
    opts = chosen(
        ("ade20k_150_val", "ade20k_150_synonyms:all"),
        ("ade20k_847_val", "ade20k_847_fcclip:mean"),
        (blocks, ""),
        ("pascal_context_459_val", "pascal_context_459_spaced"),
        ("pascal_voc_20b_val", "pascal_voc_20b"),
    )
    synonyms = words("ade20k_150_val", *opts)
    assert len(synonyms) == 150 and len(synonyms.entries) > 150 and synonyms.synonyms == "max"
    mean = words("ade20k_847_val", *opts)
    assert len(mean.entries) == 847 and mean.synonyms == "mean"
    assert mean == Vocabulary.from_benchmark("ade20k_847_fcclip", True).with_synonyms("mean")
    assert words(blocks, *opts).class_names == datasets.CLASSES
    assert "air conditioner" in words("pascal_context_459_val", *opts).class_names
    # What is not tested keeps its own.
    assert len(words("coco_stuff_val", *opts)) == 171


def test_one_of_several_test_sets_keeps_its_words(blocks):
    opts = chosen(("ade20k_150_val", "ade20k_150_synonyms:all"), (blocks, "1,2,3,4"))
    cfg = config("tests/data/small.yaml", *opts)
    part = with_test_set(cfg, blocks)
    assert (blocks,) == part.DATASETS.TEST and len(cfg.DATASETS.TEST) == 2
    assert SemanticMapper(part, blocks, is_train=False).vocabulary.class_names == tuple("1234")
    plain = with_test_set(config("tests/data/small.yaml", "DATASETS.TEST", (blocks,)), blocks)
    assert SemanticMapper(plain, blocks, False).vocabulary.class_names == datasets.CLASSES


def test_words_from_the_command_line(blocks):
    cfg = config("tests/data/small.yaml", "DATASETS.TEST", (blocks,))
    cfg.merge_from_list(["DATASETS.TEST_VOCABULARIES", "('1|one,2,3,4',)"])
    assert SemanticMapper(cfg, blocks, is_train=False).vocabulary.classes[0] == ("1", "one")


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (chosen(("blocks", "a,b,c")), "expected 4 classes for the labels of 'blocks', got 3 from"),
        (chosen(("blocks", "ade20k_150")), "got 150 from DATASETS.TEST_VOCABULARIES 'ade20k_150'"),
        (chosen(("blocks", "ade20k_15")), "TEST_VOCABULARIES: .* did you mean 'ade20k_150'"),
        (chosen(("blocks", "no/such.txt")), "TEST_VOCABULARIES: .* 'no/such.txt', got nothing"),
        (chosen(("blocks", "a,b,c,d"), ("blocks", "")), "each dataset once .* 'blocks' 2 times"),
        (
            ("DATASETS.TEST", ("blocks", "storybook_val"), "DATASETS.TEST_VOCABULARIES", ("",)),
            "one item of DATASETS.TEST_VOCABULARIES for each of the 2 datasets .* got 1",
        ),
    ],
)
def test_words_that_cannot_be_used(blocks, opts, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        words(blocks, *opts)
    assert "\n" not in str(caught.value)


def test_words_of_the_background_may_be_many_but_not_missing():
    name = "pascal_voc_20b_val"
    twenty = ",".join(Vocabulary.from_benchmark("pascal_voc_20").class_names)
    assert len(words(name, *chosen((name, f"{twenty},wall,floor,sky")))) == 23
    with pytest.raises(ValueError, match=r"expected more than 20 classes .* got 20 from"):
        words(name, *chosen((name, twenty)))


def test_more_words_than_classes_cannot_train():
    cfg = config("tests/data/small.yaml", "DATASETS.TRAIN", ("pascal_voc_20b_train",))
    with pytest.raises(ValueError, match=r"cannot train on .* 21 classes, its vocabulary 59"):
        check_train_datasets(cfg)


def test_a_dataset_that_names_itself_as_its_words(blocks):
    MetadataCatalog.get(blocks).vocabulary = blocks
    with pytest.raises(ValueError, match="vocabulary of dataset 'blocks', got its own name"):
        words(blocks)


WITH_BACKGROUND = ("pascal_voc_21_val", "pascal_context_60_val", "coco_object_81_val")


@pytest.mark.parametrize("dataset", [*WITH_BACKGROUND, "pascal_voc_20_val", "cityscapes_19_val"])
@pytest.mark.parametrize(
    ("threshold", "given", "background"),
    [
        (0.0, "", None),
        (0.4, "", ()),
        (0.0, "background", ("background",)),
        (0.1, "background", ("background",)),
        (0.1, "mountain lake; Bed;rail", ("mountain lake", "Bed", "rail")),
    ],
    ids=str,
)
def test_background_is_a_word_a_threshold_or_both(dataset, threshold, given, background):
    """On sets whose class 0 it is, and there alone; a class of the set stands for no background."""
    keys = ("TEST.BACKGROUND_THRESHOLD", threshold, "TEST.BACKGROUND_WORDS", given)
    found, plain = words(dataset, *keys), Vocabulary.from_benchmark(dataset[: -len("_val")])
    if dataset not in WITH_BACKGROUND or background is None:
        assert found == plain
        return
    assert plain.classes[0] == ("background",)
    has_bed = dataset in ("pascal_context_60_val", "coco_object_81_val")
    assert found.classes == plain.classes[1:]
    assert found.background == tuple(w for w in background if not (w == "Bed" and has_bed))
    assert found.background_threshold == threshold
    assert len(found) == len(plain)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sky,,wall", "TEST.BACKGROUND_WORDS 'sky,,wall': "),
        ("sky,sky", "TEST.BACKGROUND_WORDS 'sky,sky': "),
        ("cat, Dog", "expected words that are no class, got classes alone"),
    ],
)
def test_background_words_that_cannot_be_are_one_line(given, message):
    with pytest.raises(ValueError) as caught:
        words("pascal_voc_21_val", "TEST.BACKGROUND_WORDS", given)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert len(words("pascal_voc_20_val", "TEST.BACKGROUND_WORDS", "cat, Dog")) == 20
