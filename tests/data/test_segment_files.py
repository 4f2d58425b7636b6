"""Files of segments: what is read, what is refused with its line, and Storybook's own."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.datasets.storybook import register_storybook
from fgaseg_d2.data.records import dataset_kind, dataset_records
from fgaseg_d2.io.coco_masks import decoded_mask, encoded_mask, mask_box
from fgaseg_d2.io.segment_files import read_segment_file, segment_lines
from fgaseg_d2.storybook import draw_scene, write_dataset
from fgaseg_d2.storybook.classes import FULL_CLASSES, PRODUCTS, STUFF_CLASSES
from fgaseg_d2.storybook.segments import LEAST_PIXELS, scene_segments
from tests.conftest import config


def square(top, left, side, size=(20, 30)):
    mask = np.zeros(size, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def segment(mask, *texts, **more):
    return {
        "rle": encoded_mask(mask),
        "bbox": mask_box(mask),
        "area": int(mask.sum()),
        "texts": [{"t": text} for text in texts],
    } | more


def record(*segments, **more):
    base = {"image_id": 1, "file_name": "a.png", "height": 20, "width": 30}
    return base | {"segments": list(segments)} | more


def written(path, *lines):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


GOOD = record(segment(square(2, 3, 5), "a cat", "an animal"), segment(square(0, 0, 9), "sky"))


def test_masks_and_boxes_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for mask in (rng.random((7, 9)) < 0.5, np.zeros((3, 4), bool), np.ones((5, 2), bool)):
        rle = encoded_mask(mask)
        np.testing.assert_array_equal(decoded_mask(rle, mask.shape, "here"), mask)
        assert mask_box(mask) == coco_mask.toBbox(rle).tolist()


def test_records_are_read_in_their_order(tmp_path):
    path = written(tmp_path / "a.jsonl", GOOD, "", GOOD | {"file_name": "b.png"})
    assert [r["file_name"] for r in read_segment_file(path)] == ["a.png", "b.png"]
    assert all(not wrong for _, _, wrong in segment_lines(path, masks=True))


BAD = [
    ("{", "line 2: expected a JSON object, got an error"),
    ("[1]", "line 2: expected a JSON object"),
    (record(file_name=""), 'line 2: expected "file_name" as a path'),
    (record(height=2.5), 'line 2: expected "height" and "width" in pixels'),
    (record() | {"segments": {}}, 'line 2: expected "segments" as a list'),
    (record("x"), "line 2: segment 0: expected a JSON object"),
    (record({"rle": "abc"}), 'line 2: segment 0: expected "rle"'),
    (record(segment(square(0, 0, 3), score=3)), '"score" in 0..1, got 3'),
    (record(segment(square(0, 0, 3), level="scene")), '"level" object or part'),
    (record(segment(square(0, 0, 3), " ")), 'a text, or one as "t"'),
    (record(segment(square(0, 0, 3), texts=[{"t": "a", "weight": 0}])), '"weight" of a text above'),
    *(
        (record(segment(square(0, 0, 3), texts=[{"t": "a", "weight": weight}])), "above 0, at")
        for weight in (10**400, 10**7, 1e308, float("inf"), float("nan"), True, "1")
    ),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_what_is_wrong_is_said_with_its_line(tmp_path, line, message):
    path = written(tmp_path / "a.jsonl", GOOD, line)
    with pytest.raises(ValueError) as error:
        read_segment_file(path)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (record(segment(square(0, 0, 3), size=1), height=21), "21 x 30 pixels"),
        (record(segment(square(0, 0, 3), area=8)), 'expected "area" 9 as its mask has, got 8'),
        (record(segment(square(0, 4, 3), bbox=[0, 0, 3, 3])), 'expected "bbox" [4, 0, 3, 3]'),
        (record(segment(square(0, 0, 0))), "an empty one"),
        (record({"rle": {"size": [20, 30], "counts": [3]}}), "runs of 600 pixels together"),
    ],
)
def test_masks_are_compared_with_what_is_said_of_them(tmp_path, line, message):
    path = written(tmp_path / "a.jsonl", line)
    ((number, _, problems),) = segment_lines(path, masks=True)
    assert number == 1 and any(message in problem for problem in problems), problems


def test_a_configuration_registers_a_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    without = record(segment(square(1, 1, 2))) | {"file_name": "b.png"}
    path = written(tmp_path / "own.jsonl", GOOD, without)
    item = {"name": "own_segment_file", "file": str(path)}
    cfg = config("tests/data/small.yaml", "DATASETS.SEGMENTS", [item])
    assert register_configured(cfg) == ["own_segment_file"]
    assert dataset_kind("own_segment_file") == "segmented"
    (found,) = dataset_records("own_segment_file")
    assert found["file_name"] == str(tmp_path / "a.png") and len(found["segments"]) == 2
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 1 pictures do not exist"):
        dataset_records("own_segment_file")


def test_drawn_segments_divide_a_scene():
    scene = draw_scene(95_000_001, products=PRODUCTS)
    segments = scene_segments(scene)
    total = np.zeros(scene.label.shape, int)
    for one in segments:
        mask = decoded_mask(one["rle"], scene.label.shape, "here").astype(bool)
        total += mask
        (value,) = np.unique(scene.label[mask])
        texts = [text["t"] for text in one["texts"]]
        assert FULL_CLASSES[value] in texts and one["area"] == mask.sum() >= LEAST_PIXELS
        if value >= len(STUFF_CLASSES):
            product = PRODUCTS[value - len(STUFF_CLASSES)]
            assert set(texts) == {product.pair.name, product.name, product.thing}
            # One thing, not all of its class.
            assert len(np.unique(scene.things[mask])) == 1
    assert total.max() == 1
    assert (total > 0).sum() >= (scene.label != 255).sum() - 200


def test_storybooks_segments_are_a_dataset(tmp_path):
    write_dataset(tmp_path, "generalized_val", count=3, workers=1)
    register_storybook(tmp_path)
    records = dataset_records("storybook_segments_val")
    labelled = dataset_records("storybook_generalized_val")
    assert [r["file_name"] for r in records] == [r["file_name"] for r in labelled]
    file = tmp_path / "storybook" / "generalized_val" / "segments.jsonl"
    assert all(not wrong for _, _, wrong in segment_lines(file, masks=True))
