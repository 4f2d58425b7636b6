"""Formats read back by the programs that they are for, where these are installed.

They are large, and some want other versions of what is here, so no extra brings them.
"""

import json
import os
import shutil

import numpy as np
import pytest

from tests.exports.datasets import NAMES, export
from tests.exports.readers import BACKGROUND, check_masks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def no_screen_and_no_traces(tmp_path, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "True")


def test_labelme_opens_its_files_and_makes_the_label_map(tmp_path):
    pytest.importorskip("labelme")
    from labelme import utils
    from labelme._label_file import LabelFile

    values = {name: index for index, name in enumerate(NAMES, start=1)}
    for name, found in export(tmp_path, "labelme").items():
        file = LabelFile(str(tmp_path / "out" / "labelme" / name.replace("jpg", "json")))
        assert file.image_data == (tmp_path / "pictures" / name).read_bytes()
        drawn, _ = utils.shapes_to_label(found.shape, file.shapes, values)
        assert (drawn == np.where(found == BACKGROUND, 0, found + 1)).all()


@pytest.mark.parametrize("split", [False, True])
def test_label_studio_decodes_and_validates_its_tasks(tmp_path, split):
    pytest.importorskip("label_studio_sdk")
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    maps = export(tmp_path, "label_studio", pieces=split)
    folder = tmp_path / "out" / "label_studio"
    interface = LabelInterface((folder / "interface.xml").read_text())
    tasks = json.loads((folder / "tasks.json").read_text())
    for task, found in zip(tasks, maps.values(), strict=True):
        (prediction,) = task["predictions"]
        assert interface.validate_prediction(prediction)
        masks = []
        for result in prediction["result"]:
            channels = decode_rle(result["value"]["rle"]).reshape(*found.shape, 4)
            masks.append((NAMES.index(result["value"]["brushlabels"][0]), channels[..., 3] > 0))
        check_masks(found, masks, split)


@pytest.mark.parametrize("split", [False, True])
def test_datumaro_and_cvat_read_the_xml(tmp_path, split):
    datumaro = pytest.importorskip("datumaro")
    maps = export(tmp_path, "cvat", pieces=split)
    file = tmp_path / "out" / "cvat" / "annotations.xml"
    # As CVAT exports it: the pictures beside it.
    shutil.copytree(tmp_path / "pictures", file.parent / "images")
    dataset = datumaro.Dataset.import_from(str(file), "cvat")
    names = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
    for item in dataset:
        found = maps[f"{item.id}.jpg"]
        masks = [
            (NAMES.index(names[mask.label]), mask.image.astype(bool)) for mask in item.annotations
        ]
        check_masks(found, masks, split)
    cvat = pytest.importorskip("cvat_sdk.masks")
    import xml.etree.ElementTree as ET

    for image in ET.parse(file).iter("image"):
        found = maps[image.get("name")]
        masks = []
        for mask in image:
            left, top, width, height = (
                int(mask.get(k)) for k in ("left", "top", "width", "height")
            )
            points = [*map(float, mask.get("rle").split(",")), left, top]
            points += [left + width - 1, top + height - 1]
            size = {"image_height": found.shape[0], "image_width": found.shape[1]}
            masks.append((NAMES.index(mask.get("label")), cvat.decode_mask(points, **size)))
        check_masks(found, masks, split)


def test_ultralytics_loads_the_dataset_and_fills_its_polygons(tmp_path):
    pytest.importorskip("ultralytics")
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset, polygons2masks

    maps = export(tmp_path, "yolo")
    data = check_det_dataset(str(tmp_path / "out" / "yolo" / "data.yaml"), autodownload=False)
    assert data["names"] == dict(enumerate(NAMES))
    dataset = YOLODataset(img_path=data["train"], data=data, task="segment", augment=False)
    assert len(dataset.labels) == 2
    for label in dataset.labels:
        found = maps[os.path.basename(label["im_file"])]
        height, width = label["shape"]
        assert (height, width) == found.shape
        segments = [segment * (width, height) for segment in label["segments"]]
        masks = polygons2masks(found.shape, segments, color=1).astype(bool)
        check_masks(found, list(zip(label["cls"][:, 0].astype(int), masks)), split=True)
