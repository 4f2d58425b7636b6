"""Every format, read back by the rules of its documentation and by libraries that are at hand."""

import base64
import io
import json
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
import yaml
from detectron2.data.datasets.coco import load_coco_json
from detectron2.data.datasets.coco_panoptic import load_coco_panoptic_json
from PIL import Image
from pycocotools.coco import COCO

from fgaseg_d2.vocabulary.colors import default_colors
from tests.exports.datasets import NAMES, export
from tests.exports.readers import BACKGROUND, check_masks, filled, pieces, unpacked_brush
from tests.exports.scenes import WORDS, segmentation


def test_png_holds_indices_and_opens_in_color(tmp_path):
    for name, found in export(tmp_path, "png").items():
        with Image.open(tmp_path / "out" / "png" / name.replace("jpg", "png")) as image:
            assert image.mode == "P"
            assert (np.asarray(image) == found).all()
            colors = default_colors(WORDS.class_names)
            assert (np.asarray(image.convert("RGB")) == colors[found]).all()


@pytest.mark.parametrize("split", [False, True])
def test_coco_in_pycocotools_and_detectron2(tmp_path, split):
    maps = export(tmp_path, "coco", pieces=split)
    file = tmp_path / "out" / "coco" / "annotations.json"
    coco = COCO(file)
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(NAMES)
    assert {image["file_name"] for image in coco.imgs.values()} == set(maps)
    assert len(coco.anns) == sum(map(len, coco.imgToAnns.values()))
    for image in coco.imgs.values():
        found = maps[image["file_name"]]
        assert (image["height"], image["width"]) == found.shape
        annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
        masks = [(a["category_id"] - 1, coco.annToMask(a).astype(bool)) for a in annotations]
        check_masks(found, masks, split)
    records = load_coco_json(str(file), str(tmp_path / "pictures"))
    assert [len(record["annotations"]) > 0 for record in records] == [True, True]


@pytest.mark.parametrize("split", [False, True])
def test_panoptic_by_its_rules_and_in_detectron2(tmp_path, split):
    maps = export(tmp_path, "coco_panoptic", pieces=split)
    folder = tmp_path / "out" / "coco_panoptic"
    content = json.loads((folder / "panoptic.json").read_text())
    assert [(c["name"], c["isthing"]) for c in content["categories"]] == [
        (name, int(split)) for name in NAMES
    ]
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for annotation in content["annotations"]:
        colors = np.asarray(Image.open(folder / "panoptic" / annotation["file_name"])).astype(int)
        numbers = colors @ [1, 256, 256**2]
        segments = annotation["segments_info"]
        assert {s["id"] for s in segments} == set(np.unique(numbers)) - {0}
        masks = []
        for segment in segments:
            mask = numbers == segment["id"]
            assert segment["area"] == mask.sum() and segment["iscrowd"] == 0
            left, top, width, height = segment["bbox"]
            rows, columns = np.nonzero(mask)
            assert (left, top) == (columns.min(), rows.min())
            assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
            masks.append((segment["category_id"] - 1, mask))
        check_masks(maps[names[annotation["image_id"]]], masks, split)
    contiguous = {k + 1: k for k in range(3)}
    meta = dict.fromkeys(
        ("thing_dataset_id_to_contiguous_id", "stuff_dataset_id_to_contiguous_id"), contiguous
    )
    records = load_coco_panoptic_json(
        str(folder / "panoptic.json"), str(tmp_path / "pictures"), str(folder / "panoptic"), meta
    )
    assert {record["file_name"].rpartition("/")[2] for record in records} == set(maps)


def test_labelme(tmp_path):
    for name, found in export(tmp_path, "labelme").items():
        file = tmp_path / "out" / "labelme" / name.replace("jpg", "json")
        content = json.loads(file.read_text(encoding="utf-8"))
        assert (content["imageHeight"], content["imageWidth"]) == found.shape
        assert (file.parent / content["imagePath"]).samefile(tmp_path / "pictures" / name)
        assert content["imageData"] is None and content["version"] and content["flags"] == {}
        masks = []
        for shape in content["shapes"]:
            assert shape["shape_type"] == "polygon" and len(shape["points"]) > 2
            masks.append((NAMES.index(shape["label"]), filled(found.shape, shape["points"])))
        check_masks(found, masks, split=True)


def test_labelme_holds_a_picture_that_has_no_file(tmp_path):
    result = segmentation()
    result.save(tmp_path, "scene", formats=["labelme"])
    content = json.loads((tmp_path / "labelme" / "scene.json").read_text())
    with Image.open(io.BytesIO(base64.b64decode(content["imageData"]))) as image:
        assert (np.asarray(image) == result.image).all()


@pytest.mark.parametrize("split", [False, True])
def test_label_studio(tmp_path, split):
    maps = export(tmp_path, "label_studio", pieces=split)
    folder = tmp_path / "out" / "label_studio"
    tasks = json.loads((folder / "tasks.json").read_text())
    root = ET.parse(folder / "interface.xml").getroot()
    brush = root.find("BrushLabels")
    assert [label.get("value") for label in brush] == list(NAMES)
    addresses = {"one.jpg": "one.jpg", "two words ü.jpg": "two%20words%20%C3%BC.jpg"}
    for task, (name, found) in zip(tasks, maps.items(), strict=True):
        assert task["data"]["image"] == f"/data/local-files/?d={addresses[name]}"
        (prediction,) = task["predictions"]
        assert prediction["score"] == pytest.approx(0.7)
        masks = []
        for result in prediction["result"]:
            assert (result["original_height"], result["original_width"]) == found.shape
            assert result["from_name"] == brush.get("name")
            assert result["to_name"] == brush.get("toName") == root.find("Image").get("name")
            channels = unpacked_brush(result["value"]["rle"]).reshape(*found.shape, 4)
            (label,) = result["value"]["brushlabels"]
            masks.append((NAMES.index(label), channels[..., 3] > 0))
        assert len({result["id"] for result in prediction["result"]}) == len(masks)
        check_masks(found, masks, split)


@pytest.mark.parametrize("split", [False, True])
def test_cvat(tmp_path, split):
    maps = export(tmp_path, "cvat", pieces=split)
    root = ET.parse(tmp_path / "out" / "cvat" / "annotations.xml").getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    assert root.findtext("meta/task/size") == "2"
    assert {label.findtext("name") for label in root.iter("label")} == set(NAMES)
    images = root.findall("image")
    assert [image.get("id") for image in images] == ["0", "1"]
    for image in images:
        found = maps[image.get("name")]
        assert (int(image.get("height")), int(image.get("width"))) == found.shape
        masks = []
        for element in image:
            left, top, width, height = (
                int(element.get(key)) for key in ("left", "top", "width", "height")
            )
            lengths = [int(text) for text in element.get("rle").split(", ")]
            runs = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
            mask = np.zeros(found.shape, bool)
            mask[top : top + height, left : left + width] = runs.reshape(height, width)
            masks.append((NAMES.index(element.get("label")), mask))
        check_masks(found, masks, split)


def test_yolo_as_ultralytics_documents_it(tmp_path):
    maps = export(tmp_path, "yolo")
    folder = tmp_path / "out" / "yolo"
    content = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))
    assert content["names"] == dict(enumerate(NAMES))
    assert (folder / content["train"]).is_dir() and (folder / content["val"]).is_dir()
    for name, found in maps.items():
        copied = folder / "images" / name
        assert copied.read_bytes() == (tmp_path / "pictures" / name).read_bytes()
        height, width = found.shape
        masks = []
        lines = (folder / "labels" / name.replace("jpg", "txt")).read_text().splitlines()
        for line in lines:
            index, *values = line.split()
            points = np.array(values, np.float32).reshape(-1, 2)
            assert len(points) > 2 and points.min() >= 0 and points.max() <= 1
            scaled = (points * np.float32([width, height])).astype(np.int32)
            mask = cv2.fillPoly(np.zeros(found.shape, np.uint8), [scaled], 1)
            masks.append((int(index), mask.astype(bool)))
        check_masks(found, masks, split=True)


def test_yolo_makes_png_of_pictures_that_ultralytics_may_not_read(tmp_path):
    segmentation().save(tmp_path, "scene", formats=["yolo"])
    with Image.open(tmp_path / "yolo" / "images" / "scene.png") as image:
        assert (np.asarray(image) == segmentation().image).all()


@pytest.mark.parametrize("kind", ["coco", "yolo", "labelme"])
def test_supervision_reads_it(tmp_path, kind):
    library = pytest.importorskip("supervision")
    maps = export(tmp_path, kind, pieces=True)
    folder, pictures = tmp_path / "out" / kind, str(tmp_path / "pictures")
    if kind == "coco":
        read = library.DetectionDataset.from_coco(
            pictures, str(folder / "annotations.json"), force_masks=True
        )
    elif kind == "yolo":
        places = (str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"))
        read = library.DetectionDataset.from_yolo(*places, force_masks=True)
    else:
        read = library.DetectionDataset.from_labelme(pictures, str(folder), force_masks=True)
    assert sorted(read.classes) == sorted(NAMES)
    assert len(read) == 2
    for path, _, detections in read:
        names = [read.classes[index] for index in detections.class_id]
        masks = [(NAMES.index(name), mask) for name, mask in zip(names, detections.mask)]
        check_masks(maps[path.replace("\\", "/").rpartition("/")[2]], masks, split=True)


def test_small_regions_can_be_left_out(tmp_path):
    maps = export(tmp_path, "labelme", "coco", pieces=True, smallest=30)
    content = json.loads((tmp_path / "out" / "labelme" / "one.json").read_text())
    wanted = sorted(m.sum() for m in pieces(maps["one.jpg"]) if m.sum() >= 30)
    wanted.remove((maps["one.jpg"] == BACKGROUND).sum())
    areas = [filled((40, 60), shape["points"]).sum() for shape in content["shapes"]]
    assert sorted(areas) == wanted
