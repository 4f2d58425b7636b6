"""An export of many pictures: names, files, memory, and what cannot be written."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.exports import FORMATS, Export
from fgaseg_d2.exports.export import own_files
from fgaseg_d2.exports.regions import LabelMap
from fgaseg_d2.io.file_errors import WriteError
from fgaseg_d2.vocabulary.vocabulary import Vocabulary
from tests.exports.datasets import export
from tests.exports.scenes import WORDS, segmentation

DATASETS = ("coco", "coco_panoptic", "label_studio", "cvat", "yolo")
ALL = [name for name in FORMATS if not name.startswith("geo")]
PIXELS = np.zeros((4, 5, 3), np.uint8)


def test_all_formats_at_once_and_nothing_else_is_left(tmp_path):
    export(tmp_path, *ALL)
    files = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {path.parent.name for path in files} >= set(ALL) - {"coco_panoptic", "yolo"}
    assert not [path for path in files if path.name.startswith(".")]
    announced = set(own_files(tmp_path / "out", ALL, "one"))
    own = {path for path in files if path.stem == "one"}
    assert own <= announced and len(own) == 5


def test_files_of_all_pictures_come_at_the_end_even_after_an_error(tmp_path):
    result = segmentation()
    with pytest.raises(KeyboardInterrupt):
        with Export(tmp_path, DATASETS, WORDS.class_names) as run:
            run.add(result.label_map, result.image)
            assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob("*.xml"))
            raise KeyboardInterrupt
    content = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert len(content["images"]) == 1 and len(content["annotations"]) == 3


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    result = segmentation()
    formats = ("coco", "label_studio", "cvat")
    with Export(tmp_path, formats, WORDS.class_names, pieces=True) as run:
        tracemalloc.start()
        try:
            kept = []
            for _ in range(4):
                for _ in range(25):
                    run.add(result.label_map, result.image)
                kept.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    # A picture's annotations are several kilobytes of text; what stays of one is its name.
    assert kept[-1] - kept[0] < 75 * 400
    size = (tmp_path / "coco" / "annotations.json").stat().st_size
    assert size > 100 * 1500
    assert len(json.loads((tmp_path / "label_studio" / "tasks.json").read_text())) == 100


def test_names_are_unique_and_relative_to_the_root(tmp_path):
    label_map = LabelMap(np.zeros((4, 5), np.int32), ["cat"])
    with Export(tmp_path / "out", ["coco", "png"], ["cat"], root=tmp_path) as run:
        for folder in ("a", "b"):
            path = tmp_path / folder / "Scene.png"
            path.parent.mkdir()
            Image.fromarray(PIXELS).save(path)
            run.add(label_map, PIXELS, path)
        run.add(label_map, PIXELS)
        run.add(label_map, PIXELS, stem="own")
        with pytest.raises(ValueError, match="no other picture of the export has, got 'OWN'"):
            run.add(label_map, PIXELS, stem="OWN")
    content = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_text())
    names = [image["file_name"] for image in content["images"]]
    assert names == ["a/Scene.png", "b/Scene.png", "picture.png", "own.png"]
    written = sorted(path.name for path in (tmp_path / "out" / "png").iterdir())
    assert written == ["Scene.png", "Scene_2.png", "own.png", "picture.png"]


def test_names_that_are_no_text_or_no_xml(tmp_path):
    label_map = LabelMap(np.zeros((4, 5), np.int32), ["<a> & \"b\" 'c'"])
    path = Path("a\udcff\x07.png")
    formats = ("coco", "label_studio", "cvat")
    with Export(tmp_path, formats, label_map.class_names) as run:
        run.add(label_map, PIXELS, path)
    for file in tmp_path.rglob("*.*"):
        assert file.read_bytes().decode("utf-8")
    import xml.etree.ElementTree as ET

    for file in ("cvat/annotations.xml", "label_studio/interface.xml"):
        text = " ".join(ET.parse(tmp_path / file).getroot().itertext())
        values = [element.get("value", "") for element in ET.parse(tmp_path / file).iter()]
        assert label_map.class_names[0] in text or label_map.class_names[0] in values
    content = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert content["images"][0]["file_name"] == str(path)


def test_a_picture_without_objects_is_a_picture_of_every_dataset(tmp_path):
    nothing = segmentation(np.full((4, 5), 3, np.int32))
    nothing.save(tmp_path, "empty", formats=ALL)
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert len(coco["images"]) == 1 and coco["annotations"] == []
    panoptic = json.loads((tmp_path / "coco_panoptic" / "panoptic.json").read_text())
    assert panoptic["annotations"][0]["segments_info"] == []
    assert (tmp_path / "yolo" / "labels" / "empty.txt").read_text() == ""
    assert json.loads((tmp_path / "labelme" / "empty.json").read_text())["shapes"] == []


def test_wrong_use_is_one_line(tmp_path):
    for arguments, reason in [
        ((["coko"], ["cat"]), "expected formats among png, coco, .*, got 'coko'"),
        ((["png"], list(map(str, range(257)))), "expected 256 classes at most .* got 257"),
    ]:
        with pytest.raises(ValueError, match=reason) as error:
            Export(tmp_path, *arguments)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="a number of pixels from 1, got 0"):
        Export(tmp_path, ["coco"], ["cat"], smallest=0)
    with Export(tmp_path, ["png"], ["cat"]) as run:
        with pytest.raises(ValueError, match="expected the classes of the export, 'cat', got 'd"):
            run.add(LabelMap(np.zeros((4, 5), np.int32), ["dog"]), PIXELS)
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file"):
        Export(tmp_path / "file", ["coco"], ["cat"])


def test_256_classes_fit_a_png(tmp_path):
    words = Vocabulary.from_names(f"word {number}" for number in range(256))
    labels = np.arange(256, dtype=np.int32).reshape(8, 32)
    with Export(tmp_path, ["png"], words.class_names) as run:
        run.add(LabelMap(labels, words.class_names), np.zeros((8, 32, 3), np.uint8), stem="many")
    with Image.open(tmp_path / "png" / "many.png") as image:
        assert (np.asarray(image) == labels).all()
