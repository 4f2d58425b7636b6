"""The benchmarks: what importing registers, and how prepared folders are read."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.data import register_benchmarks
from fgaseg_d2.data.datasets.benchmarks import BENCHMARKS
from fgaseg_d2.data.labels import LabelSpec, read_label
from tests.conftest import ROOT

SPLITS = [(name, split) for name in BENCHMARKS for split in BENCHMARKS[name].splits]
# Evaluated classes, prompted words, ignore label: facts of the published protocol.
PROTOCOL = {
    "coco_stuff": (171, 171, 255),
    "ade20k_150": (150, 150, 255),
    "ade20k_847": (847, 847, 65535),
    "pascal_context_59": (59, 59, 255),
    "pascal_context_459": (459, 459, 65535),
    "pascal_voc_20": (20, 20, 255),
    "pascal_voc_20b": (21, 59, 255),
    "pascal_voc_21": (21, 21, 255),
    "pascal_context_60": (60, 60, 255),
    "coco_object_81": (81, 81, 255),
    "cityscapes_19": (19, 19, 255),
}


@pytest.fixture
def root(tmp_path):
    """Benchmarks registered below an empty folder, and put back afterwards."""
    register_benchmarks(tmp_path)
    yield tmp_path
    register_benchmarks()


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def prepare(root, name, split, stems, ending=".png"):
    """Write a prepared split: every picture has the label of its own position."""
    files = BENCHMARKS[name].splits[split]
    wide = BENCHMARKS[name].ignore_label > 255
    for index, stem in enumerate(stems):
        write(root / files.image_dir / f"{stem}.jpg", np.zeros((8, 8, 3), np.uint8))
        label = np.full((8, 8), index, np.uint16 if wide else np.uint8)
        write(root / files.label_dir / f"{stem}{ending}", label)


def test_splits_are_the_official_ones():
    names = {f"{name}_{split}" for name, split in SPLITS}
    plain = {f"{name}_{split}" for name in PROTOCOL for split in ("train", "val")}
    assert names == plain | {"pascal_voc_20_train_aug", "pascal_voc_20b_train_aug"}
    assert BENCHMARKS["pascal_voc_20"].splits["train_aug"].count == 1464 + 9118


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_every_split_is_registered_with_the_protocol(name, split):
    classes, words, ignore = PROTOCOL[name]
    metadata = MetadataCatalog.get(f"{name}_{split}")
    labels = LabelSpec.from_metadata(f"{name}_{split}")
    assert (len(labels.classes), labels.ignore_label) == (classes, ignore)
    assert len(Vocabulary.coerce(f"{name}_{split}")) == words
    assert metadata.evaluator_type == "sem_seg" and metadata.benchmark == name
    assert len(metadata.stuff_colors) == classes == len(set(metadata.stuff_colors))
    assert metadata.get("background_class") == (20 if name == "pascal_voc_20b" else None)


def test_the_words_are_those_of_the_published_protocol():
    # First names only, also where that makes classes equal.
    words = Vocabulary.coerce("ade20k_847_val")
    assert words == Vocabulary.from_benchmark("ade20k_847")
    assert words.class_names.count("bag") == 3
    assert MetadataCatalog.get("ade20k_847_val").stuff_classes[1] == "building, edifice"
    assert Vocabulary.coerce("ade20k_847_val:all").classes[1] == ("building", "edifice")
    background = MetadataCatalog.get("pascal_voc_20b_val")
    assert background.stuff_classes[20] == "background"
    assert Vocabulary.coerce("pascal_voc_20b_val").class_names[:20] == tuple(
        background.stuff_classes[:20]
    )


def test_colors_of_pascal_voc_are_those_of_its_palette():
    # The official palette, background first; classes without it begin at the second colour.
    official = [(128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    last = [(0, 192, 0), (128, 192, 0), (0, 64, 128)]
    for name in ("pascal_voc_20_val", "pascal_voc_20b_train"):
        colors = MetadataCatalog.get(name).stuff_colors
        assert colors[:5] == official and colors[17:20] == last
    assert MetadataCatalog.get("pascal_voc_20b_val").stuff_colors[20] == (0, 0, 0)


def test_pictures_and_labels_are_paired_by_name(root):
    """Equally many files, of which position would pair the wrong ones."""
    prepare(root, "ade20k_847", "val", ["b", "c"])
    files = BENCHMARKS["ade20k_847"].splits["val"]
    write(root / files.image_dir / "a.jpg", np.zeros((8, 8, 3), np.uint8))
    for hidden in (".partial-x.png", "._b.png", ".DS_Store"):
        (root / files.label_dir / hidden).write_bytes(b"not a label")
    records = DatasetCatalog.get("ade20k_847_val")
    found = [
        (record["file_name"].rpartition("/")[2], read_label(record["sem_seg_file_name"]).max())
        for record in records
    ]
    assert found == [("b.jpg", 0), ("c.jpg", 1)]


def test_label_files_of_the_peers_are_read_too(root):
    prepare(root, "pascal_context_459", "val", ["2008_000002"], ending=".tif")
    (record,) = DatasetCatalog.get("pascal_context_459_val")
    assert record["sem_seg_file_name"].endswith("2008_000002.tif")


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_what_is_not_there_is_prepared_by_the_command_in_the_message(root, name, split):
    with pytest.raises(FileNotFoundError) as caught:
        DatasetCatalog.get(f"{name}_{split}")
    message = str(caught.value)
    preparation = "pascal_voc" if name in ("pascal_voc_20", "pascal_voc_20b") else name
    wanted = f"prepare it with: python tools/prepare_datasets.py {preparation} --root {root}"
    wanted += "" if split == "val" else f" --splits {split}"
    assert message.startswith(f"{name}_{split}: ") and message.endswith(wanted)


def test_a_label_without_its_picture_is_named(root):
    prepare(root, "pascal_voc_20", "val", ["a", "b"])
    (root / BENCHMARKS["pascal_voc_20"].splits["val"].image_dir / "b.jpg").unlink()
    with pytest.raises(ValueError, match=r"pascal_voc_20_val: .* got none for b\.png; .*a\.jpg"):
        DatasetCatalog.get("pascal_voc_20_val")


def test_another_number_than_the_official_one_is_a_warning(root, caplog):
    prepare(root, "coco_stuff", "val", ["a", "b"])
    with caplog.at_level(logging.WARNING, "fgaseg_d2.data.datasets.registration"):
        assert len(DatasetCatalog.get("coco_stuff_val")) == 2
    (message,) = set(caplog.messages)  # a handler may sit on two loggers
    assert "official 5000" in message and "got 2" in message and "--check" in message


def test_the_root_comes_from_the_environment_and_importing_reads_nothing(tmp_path):
    code = (
        "import fgaseg_d2, json; from detectron2.data import MetadataCatalog as M;"
        "print(json.dumps([M.get(n).sem_seg_root for n in ('ade20k_150_val', 'storybook_val')]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={"DETECTRON2_DATASETS": str(tmp_path / "no" / "such"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(path.startswith(str(tmp_path)) for path in json.loads(done.stdout))


def test_the_import_alone_registers_models_and_datasets():
    """As a program finds them that knows Detectron2's registries only."""
    code = (
        "import fgaseg_d2; from detectron2 import modeling, data;"
        "names = {'FGASeg', 'LDVC', 'MGCA', 'DenseCLIP', 'CLIPPretraining'};"
        "assert all(name in modeling.META_ARCH_REGISTRY for name in names);"
        "assert 'CLIPViT' in modeling.BACKBONE_REGISTRY;"
        "assert 'FGASegHead' in modeling.SEM_SEG_HEADS_REGISTRY;"
        "known = {'ade20k_150_val', 'storybook_val', 'storybook_train'};"
        "assert known <= set(data.DatasetCatalog.list())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
