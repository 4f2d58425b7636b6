"""Masks in the forms that people and other programs have them in."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from detectron2.structures import BitMasks, Instances
from PIL import Image
from pycocotools import mask as coco_mask

from fgaseg_d2.io.coco_masks import encoded_mask, mask_box
from fgaseg_d2.modeling.inference.segment_scores import SegmentScores
from fgaseg_d2.modeling.layers import area_pooling
from fgaseg_d2.modeling.layers.area_pooling import area_shares
from fgaseg_d2.modeling.proposals import given_masks
from tests.conftest import ROOT
from tests.run_lengths import runs_of

SIZE = (12, 17)
# Overlapping, everything, a pixel, and an empty one.
MASKS = np.zeros((5, *SIZE), bool)
MASKS[0, 2:9, 3:12] = MASKS[1, 5:, 8:] = MASKS[2] = MASKS[3, 11, 16] = True


def coco(mask):
    """With counts of bytes, as pycocotools gives them."""
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def sam(form):
    """As the automatic mask generator of segment-anything gives them."""
    return [
        {
            "segmentation": form(mask),
            "area": int(mask.sum()),
            "bbox": mask_box(mask),
            "predicted_iou": 0.9,
            "point_coords": [[3.0, 4.0]],
            "stability_score": 0.96,
            "crop_box": [0, 0, 17, 12],
        }
        for mask in MASKS
    ]


def instances(**fields):
    return Instances(SIZE, **fields)


TENSOR = torch.from_numpy(MASKS)
FORMS = {
    "bool": MASKS,
    "uint8": MASKS.astype(np.uint8),
    "255": 255 * MASKS.astype(np.uint8),
    "int64": MASKS.astype(np.int64),
    "uint16": 7 * MASKS.astype(np.uint16),
    "float32": MASKS.astype(np.float32),
    "float16": MASKS.astype(np.float16),
    "longdouble": MASKS.astype(np.longdouble),
    "big endian": MASKS.astype(">f4"),
    "negative strides": MASKS[:, ::-1][:, ::-1],
    "tensor": TENSOR,
    "tensor of half": TENSOR.half(),
    "tensor of uint8": TENSOR.to(torch.uint8) * 255,
    "tensor with gradient": TENSOR.float().requires_grad_(),
    "with a channel": TENSOR[:, None],
    "list": list(MASKS),
    "tuple of tensors": tuple(TENSOR),
    "mixed list": [MASKS[0], 255 * TENSOR[1].to(torch.uint8), *MASKS[2:].tolist()],
    "generator": (mask for mask in MASKS.copy()),
    "nested lists": MASKS.tolist(),
    "PIL images": [Image.fromarray(mask) for mask in MASKS],
    "masks with a channel": [mask[None] for mask in MASKS],
    "runs with bytes": [coco(mask) for mask in MASKS],
    "runs with text": [encoded_mask(mask) for mask in MASKS],
    "runs as lists": [runs_of(mask) for mask in MASKS],
    "records of a file": [{"rle": encoded_mask(mask), "texts": []} for mask in MASKS],
    "SAM": sam(np.asarray),
    "SAM with runs": sam(runs_of),
    "SAM with compressed runs": sam(encoded_mask),
    "Instances": instances(pred_masks=TENSOR),
    "what a model of detectron2 gives": {"instances": instances(pred_masks=TENSOR)},
    "annotated Instances": instances(gt_masks=BitMasks(TENSOR)),
    "BitMasks": BitMasks(TENSOR),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_masks_in_every_form(form):
    found = given_masks(FORMS[form])
    assert found.dtype == torch.bool and found.device.type == "cpu" and not found.requires_grad
    np.testing.assert_array_equal(found.numpy(), MASKS)


def test_detections_of_supervision():
    supervision = pytest.importorskip("supervision")
    boxes = np.array([mask_box(mask) for mask in MASKS], float)
    detections = supervision.Detections(xyxy=boxes, mask=MASKS)
    np.testing.assert_array_equal(given_masks(detections).numpy(), MASKS)
    with pytest.raises(ValueError, match="expected masks M x H x W, got Detections"):
        given_masks(supervision.Detections(xyxy=boxes))


@pytest.mark.parametrize("one", [MASKS[0], TENSOR[0], encoded_mask(MASKS[0]), sam(np.array)[0]])
def test_a_single_mask_is_one(one):
    np.testing.assert_array_equal(given_masks(one).numpy(), MASKS[:1])


@pytest.mark.parametrize("none", [[], (), np.zeros((0, 4, 5)), torch.zeros(0), np.array([])])
def test_no_masks_are_none(none):
    assert len(given_masks(none)) == 0 and given_masks(none).ndim == 3


SOFT = np.linspace(0, 1, 20, dtype=np.float32).reshape(1, 4, 5)
RUNS = encoded_mask(MASKS[0])
BAD = [
    (SOFT, "one value beside 0, got values from 0.0526316 to 1; compare them with a threshold"),
    (np.arange(20).reshape(1, 4, 5), r"make a mask of each value \(labels == 3\)"),
    ([SOFT[0]], "one value beside 0"),
    (np.full((1, 4, 5), np.nan), "finite values"),
    (torch.full((1, 4, 5), torch.inf), "finite values"),
    (np.arange(20).reshape(4, 5), r"an array of shape \[4, 5\]"),
    (np.ones((4, 5), np.uint8), r"an array of shape \[4, 5\]"),
    (np.ones((2, 3, 4, 5)), r"an array of shape \[2, 3, 4, 5\]"),
    (np.float32(1), "got float32"),
    (np.ones((1, 4, 5), complex), "expected masks M x H x W"),
    (torch.ones(1, 4, 5, dtype=torch.complex64), "got complex numbers"),
    (np.full((1, 4, 5), "a"), "expected masks M x H x W"),
    ([np.ones((4, 5)), np.ones((5, 5))], "of one size, got masks of 4 x 5 and 5 x 5"),
    ([[[1, 0], [1]]], "expected masks M x H x W"),
    ([None], "expected masks M x H x W"),
    (["a"], "expected masks M x H x W"),
    ("masks.png", "expected masks M x H x W, got 'masks.png'"),
    (b"\x00", "expected masks M x H x W"),
    (7, "expected masks M x H x W, got 7"),
    ({"a": 1}, "expected masks M x H x W"),
    ([{"a": 1}], 'mask 0: expected run lengths with "size"'),
    ([RUNS, RUNS | {"counts": "zz"}], "mask 1: expected "),
    ([RUNS | {"size": None}], 'mask 0: expected run lengths with "size"'),
    ([RUNS | {"size": [10**6, 10**6]}], 'mask 0: expected run lengths with "size"'),
    ([RUNS | {"size": [4, 5]}], "mask 0: expected runs of 20 pixels together"),
    ([{"segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}], r"mask 0: .* as polygons are; make a mask"),
    (np.stack([np.ones((4, 5)), np.full((4, 5), 2)]), "one value beside 0, got values from 1 to 2"),
    (instances(scores=torch.ones(2)), "expected masks M x H x W, got Instances"),
]


@pytest.mark.parametrize(("masks", "message"), BAD)
def test_what_are_no_masks_is_one_line(masks, message):
    with pytest.raises(ValueError, match=message) as error:
        given_masks(masks)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_polygon_is_refused_alone_and_beside_masks():
    annotation = {"id": 1, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]], "iscrowd": 0}
    for masks in (annotation, [annotation], [*sam(np.asarray), annotation]):
        with pytest.raises(ValueError, match="make a mask of them"):
            given_masks(masks)


MEMORY = """
import resource
import numpy as np
from fgaseg_d2.modeling.proposals import given_masks

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

masks = np.zeros((100, 1000, 1000), np.uint8)
masks[:, 100:900, 100:900] = 255
given_masks(masks[:1])
before = peak()
found = given_masks({form})
print(peak() - before, int(found.sum()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak has another unit there")
@pytest.mark.parametrize("form", ["masks", "list(masks)", "(mask == 255 for mask in masks)"])
def test_many_masks_take_little_more_memory_than_what_they_become(form):
    """100 masks of 1,000 x 1,000 pixels; a generator's are held twice, as their number is new."""
    code = MEMORY.replace("{form}", form)
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    rise, pixels = map(int, run.stdout.split())
    assert pixels == 100 * 800 * 800
    assert rise < 200 + 100 * form.startswith("(")


def test_shares_of_random_sizes_are_those_of_a_loop_over_pixels():
    """Each pixel gives each cell the area that both have, as intervals say it."""
    rng = np.random.default_rng(0)
    for _ in range(30):
        height, width, down, across = (int(rng.integers(1, 12)) for _ in range(4))
        mask = rng.random((height, width)) < 0.5
        expected = np.zeros((down, across))
        for y, x in zip(*mask.nonzero()):
            for i in range(down):
                tall = min((y + 1) / height, (i + 1) / down) - max(y / height, i / down)
                for j in range(across):
                    wide = min((x + 1) / width, (j + 1) / across) - max(x / width, j / across)
                    expected[i, j] += max(tall, 0) * max(wide, 0) * down * across
        found = area_shares(torch.from_numpy(mask)[None], (down, across))[0]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_many_masks_are_the_same_a_few_at_a_time(monkeypatch):
    masks = torch.rand(40, 13, 22) < 0.4
    scores = SegmentScores(masks, torch.rand(40, 3))
    background = torch.rand(3, 4, 5)
    shares, painted = area_shares(masks, (4, 6)), scores.painted(background)
    monkeypatch.setattr(area_pooling, "_PIXELS", 3 * 13 * 22)
    monkeypatch.setattr("fgaseg_d2.modeling.inference.segment_scores._CELLS", 40 * 7)
    torch.testing.assert_close(area_shares(masks, (4, 6)), shares)
    torch.testing.assert_close(scores.painted(background), painted)
    assert area_shares(masks[:0], (4, 6)).shape == (0, 4, 6)
