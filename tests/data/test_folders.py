"""A dataset of one's own from two folders: in Python, in YAML and on the command line."""

import logging
import shutil

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from fgaseg_d2 import OpenVocabPredictor, Vocabulary
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data import register_folders
from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.labels import LabelSpec
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from tests.conftest import ROOT, config

pytestmark = pytest.mark.usefixtures("datasets_stay_in_their_test")

NAME = "own_val"
WORDS = "cat|kitten,dog,floor"


@pytest.fixture
def pets(tmp_path):
    """Pictures and labels in many formats and a folder, of two odd sizes."""
    names = ["a.jpg", "b.JPEG", "c.png", "more/c.webp", "more/deep/d.tif", "e.bmp"]
    for index, name in enumerate(names):
        size = (31, 47) if index % 2 else (50, 20)
        write(tmp_path / "images" / name, np.full((*size, 3), 40 * index, np.uint8))
        label = (tmp_path / "labels" / name).with_suffix(".tif" if index == 1 else ".png")
        write(label, np.full(size, index % 3, np.uint8))
    return tmp_path


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def register(folder, vocabulary=WORDS, **changes):
    register_folders(NAME, folder / "images", folder / "labels", vocabulary, **changes)


def load(folder, vocabulary=WORDS, **changes):
    register(folder, vocabulary, **changes)
    return DatasetCatalog.get(NAME)


def test_files_of_one_name_are_paired_through_all_folders(pets):
    records = load(pets)
    pairs = [
        tuple(record[key].removeprefix(str(pets)) for key in ("file_name", "sem_seg_file_name"))
        for record in records
    ]
    assert pairs == [
        ("/images/a.jpg", "/labels/a.png"),
        ("/images/b.JPEG", "/labels/b.tif"),
        ("/images/c.png", "/labels/c.png"),
        ("/images/e.bmp", "/labels/e.png"),
        ("/images/more/c.webp", "/labels/more/c.png"),
        ("/images/more/deep/d.tif", "/labels/more/deep/d.png"),
    ]
    mapper = SemanticMapper(config("tests/data/small.yaml"), NAME)
    assert all((mapper(record)["sem_seg"] != 255).any() for record in records)


def test_classes_words_and_ignore_label(pets):
    register(pets)
    labels = LabelSpec.from_metadata(NAME)
    assert labels.classes == ("cat", "dog", "floor") and labels.ignore_label == 255
    assert Vocabulary.coerce(NAME) == Vocabulary.parse(WORDS)
    register(pets, [["bag", "sack"], "box"], ignore_label=9)
    labels = LabelSpec.from_metadata(NAME)
    assert labels.classes == ("bag", "box") and labels.ignore_label == 9
    # A published list may use one name for several classes; their results are kept apart.
    register(pets, "ade20k_847")
    classes = LabelSpec.from_metadata(NAME).classes
    assert len(set(classes)) > 800 and Vocabulary.coerce(NAME).class_names.count("bag") == 3


@pytest.mark.parametrize("count", [255, 256, 300])
def test_many_classes_are_ignored_by_65535(pets, count):
    register(pets, [f"class {index}" for index in range(count)])
    assert LabelSpec.from_metadata(NAME).ignore_label == (255 if count == 255 else 65535)


@pytest.mark.parametrize("form", ["words.txt", "words.json"])
def test_words_from_a_file(pets, form, monkeypatch):
    monkeypatch.chdir(pets)
    (pets / "words.txt").write_text("cat | kitten\n# a comment\ndog\nfloor\n")
    (pets / "words.json").write_text('[["cat", "kitten"], "dog", "floor"]')
    register(pets, form)
    assert Vocabulary.coerce(NAME).classes == (("cat", "kitten"), ("dog",), ("floor",))


def test_pictures_without_a_label_are_left_out_and_said(pets, caplog):
    (pets / "labels/more/c.png").unlink()
    with caplog.at_level(logging.WARNING, "fgaseg_d2.data.datasets.folders"):
        assert len(load(pets)) == 5
    # A handler may sit on two loggers.
    assert set(caplog.messages) == {
        "own_val: 1 of 6 pictures have no label file and are left out: more/c.webp"
    }


def no_images(folder):
    shutil.rmtree(folder / "images")


def no_labels(folder):
    shutil.rmtree(folder / "labels")
    (folder / "labels").mkdir()


def empty_images(folder):
    no_images(folder)
    (folder / "images" / ".hidden").mkdir(parents=True)


def jpeg_labels(folder):
    no_labels(folder)
    write(folder / "labels" / "a.jpg", np.zeros((8, 8), np.uint8))


def twice(folder):
    shutil.copy(folder / "images/c.png", folder / "images/a.png")


def lonely_labels(folder):
    for name in "vwxyz":
        shutil.copy(folder / "labels/a.png", folder / f"labels/{name}.png")


def file_for_folder(folder):
    no_images(folder)
    (folder / "images").write_text("")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (no_images, FileNotFoundError, "folder of pictures at .*images, got nothing"),
        (file_for_folder, FileNotFoundError, "folder of pictures at .*images, got a file"),
        (no_labels, ValueError, "labels: expected label files .*, got none"),
        (empty_images, ValueError, "images: expected pictures .*, got none"),
        (jpeg_labels, ValueError, "labels: .* got only JPEG, which blurs class numbers"),
        (twice, ValueError, r"one file of each name in .*images, got (a.jpg and a.png|a.png and)"),
        (lonely_labels, ValueError, r"got none for v.png, w.png, x.png and 2 more; .* a\.jpg"),
    ],
)
def test_bad_folders_are_told_in_one_line(pets, spoil, error, message):
    spoil(pets)
    with pytest.raises(error, match=f"dataset 'own_val': .*{message}") as caught:
        load(pets)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("own_val", "i", "l", "no_such.txt"), FileNotFoundError, "no_such.txt"),
        (("own_val", "i", "l", "cat,,dog"), ValueError, "expected a class name, got an empty one"),
        (("own_val", "i", "l", WORDS, 1), ValueError, "ignore_label 1, .* one of its 3 classes"),
        (("own_val", "i", "", WORDS), ValueError, "path of a folder for labels, got ''"),
        (("own_val", None, "l", WORDS), ValueError, "path of a folder for images, got None"),
        (("", "i", "l", WORDS), ValueError, "expected a name for the dataset"),
        (("storybook_val", "i", "l", WORDS), ValueError, "'storybook_val' is taken; .*my_storyb"),
        (("own_val", "i", "i", WORDS), ValueError, "two folders"),
        (
            ("own_val", "i", "l", WORDS, "255"),
            ValueError,
            "ignore_label .* whole number, got '255'",
        ),
    ],
)
def test_bad_arguments_are_told_and_leave_nothing(arguments, error, message):
    before = DatasetCatalog.list()
    with pytest.raises(error, match=message) as caught:
        register_folders(*arguments)
    assert "\n" not in str(caught.value) and DatasetCatalog.list() == before


def item(folder, **changes):
    return {
        "name": NAME,
        "images": str(folder / "images"),
        "labels": str(folder / "labels"),
        "vocabulary": WORDS,
    } | changes


def test_configuration_by_yaml_and_by_the_command_line(pets):
    path = pets / "pets.yaml"
    path.write_text(
        f"_BASE_: {ROOT / 'tests/data/small.yaml'}\n"
        "DATASETS:\n"
        "  FOLDERS:\n"
        f"    - {{name: own_val, images: {pets}/images, labels: {pets}/labels,\n"
        "       vocabulary: [[cat, kitten], dog, floor], ignore_label: 7}\n"
        "  TEST: [own_val]\n"
    )
    register_configured(load_config(path))
    assert LabelSpec.from_metadata(NAME).ignore_label == 7
    assert Vocabulary.coerce(NAME).classes[0] == ("cat", "kitten")
    # A later change replaces the whole list, and a later registration the earlier one.
    cfg = load_config(path, ["DATASETS.FOLDERS", str([item(pets)])])
    register_configured(cfg)
    assert LabelSpec.from_metadata(NAME).ignore_label == 255
    assert len(DatasetCatalog.get(NAME)) == 6
    # What a run writes down can be read again.
    (pets / "written.yaml").write_text(cfg.dump())
    assert load_config(pets / "written.yaml").DATASETS.FOLDERS == cfg.DATASETS.FOLDERS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabluary": "cat"}, "item 1: unknown key 'vocabluary'; did you mean 'vocabulary'"),
        ({"vocabulary": "no.txt"}, "item 1: .* 'no.txt', got nothing"),
        ({"labels": None}, "item 1: expected the path of a folder for labels"),
    ],
)
def test_bad_items_of_the_configuration(tmp_path, changes, message):
    cfg = config("tests/data/small.yaml", "DATASETS.FOLDERS", [item(tmp_path, **changes)])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        register_configured(cfg)


def test_items_of_another_form(tmp_path):
    for items, message in (
        (["pets"], "item 1: expected {name: ..., images: .*got 'pets'"),
        ([{"name": NAME, "images": "i"}], "item 1: .*add 'labels'"),
        ([item(tmp_path)] * 2, "item 2: expected another name, got 'own_val' again"),
    ):
        cfg = config("tests/data/small.yaml", "DATASETS.FOLDERS", items)
        with pytest.raises(ValueError, match=message):
            register_configured(cfg)


def test_a_predictor_knows_the_words_but_does_not_need_them(pets):
    opts = ("DATASETS.FOLDERS", [item(pets)], "DATASETS.TEST", (NAME,))
    base = config("tests/data/small.yaml")
    assert OpenVocabPredictor(base, opts=opts).default_vocabulary == Vocabulary.parse(WORDS)
    elsewhere = [item(pets, name="own_gone", vocabulary="no/such.txt")]
    opts = ("DATASETS.FOLDERS", elsewhere, "DATASETS.TEST", ("own_gone",))
    assert OpenVocabPredictor(base, opts=opts).default_vocabulary is None
