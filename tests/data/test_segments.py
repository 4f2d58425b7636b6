"""Pictures with segments: their masks, the samples, and the stream."""

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.utils.events import EventStorage
from pycocotools import mask as coco_mask

from fgaseg_d2.data import loaders
from fgaseg_d2.data.mappers.segmented import SegmentMapper
from fgaseg_d2.data.records import dataset_kind
from fgaseg_d2.data.seeding import seeded
from fgaseg_d2.data.segments import check_segments, segment_mask, segment_texts
from fgaseg_d2.methods.use.samples import without_empty
from tests import datasets
from tests.conftest import build_small, config
from tests.run_lengths import runs_of

NAME = "own_segments"
SIZE = (48, 64)


def encoded(mask):
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def square(top, left, side):
    mask = np.zeros(SIZE, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def records(tmp_path):
    """Pictures of 48 x 64 with overlapping segments, of which the second lies in a corner."""
    found = datasets.write_blocks(tmp_path, count=3)
    for record in found:
        del record["sem_seg_file_name"]
        record["segments"] = [
            {"rle": encoded(square(4, 8, 30)), "texts": [{"t": "a block"}, "something"]},
            {"rle": runs_of(square(40, 60, 4)), "texts": ["a corner"]},
            {"rle": encoded(square(10, 10, 20)), "texts": ["a part of a block"]},
        ]
    return found


def cfg_for(*opts):
    return config("tests/data/small.yaml", "DATALOADER.NUM_WORKERS", 0, *opts)


@pytest.mark.parametrize("form", [encoded, runs_of])
def test_a_mask_is_what_was_encoded(form):
    mask = (np.random.default_rng(0).random(SIZE) < 0.4).astype(np.uint8)
    blob = np.add.outer((np.arange(48) - 20) ** 2, (np.arange(64) - 30) ** 2) < 200
    for one in (mask, blob, np.zeros_like(mask), np.ones_like(mask)):
        np.testing.assert_array_equal(segment_mask({"rle": form(one)}, SIZE, "here"), one)


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ({}, 'as a dict with "size" and "counts"'),
        ({"rle": "abc"}, 'as a dict with "size" and "counts"'),
        ({"rle": {"size": [64, 48], "counts": "abc"}}, "a mask of the picture's 48 x 64 pixels"),
        ({"rle": {"size": list(SIZE), "counts": [3000]}}, "runs of 3072 pixels together, got 3000"),
        ({"rle": {"size": list(SIZE), "counts": [-1, 3073]}}, '"counts" as runs of 0 or more'),
        ({"rle": {"size": list(SIZE), "counts": 7}}, '"counts" as runs of 0 or more'),
        ({"rle": {"size": list(SIZE), "counts": "k]1k2k3"}}, "runs of 3072 pixels together, got"),
        ({"rle": {"size": list(SIZE), "counts": ""}}, "runs of 3072 pixels together, got 0"),
        ({"rle": {"size": list(SIZE), "counts": "o\x80"}}, '"counts" as runs of 0 or more'),
        ({"rle": {"size": list(SIZE), "counts": "PPP"}}, '"counts" as runs of 0 or more'),
    ],
)
def test_bad_masks_are_one_line(segment, message):
    with pytest.raises(ValueError, match=message) as error:
        segment_mask(segment, SIZE, "a.png, segment 3")
    assert str(error.value).startswith("a.png, segment 3: ")


@pytest.mark.parametrize("texts", [None, [], "a cat", [""], [{"score": 1.0}], [3]])
def test_bad_texts_are_one_line(texts):
    with pytest.raises(ValueError, match="here: expected .*text"):
        segment_texts({"texts": texts}, "here")


def test_masks_move_with_the_picture(records):
    """A flip and nothing else: pixels under a mask are the same before and after."""
    opts = ("INPUT.MIN_SIZE_TRAIN", (48,), "INPUT.CROP.ENABLED", False)
    with datasets.registered(NAME, records, fgaseg_d2={"kind": "segmented"}):
        mapper = SegmentMapper(cfg_for(*opts), NAME)
    flips, texts = set(), set()
    for seed in range(12):
        with seeded(seed):
            sample = mapper(records[0])
        assert sample["segments"].shape == (3, *SIZE) and sample["segments"].dtype == torch.bool
        masks = sample["segments"].numpy()
        flipped = not (masks[0] == square(4, 8, 30)).all()
        if flipped:
            masks = masks[:, :, ::-1]
        wanted = (square(4, 8, 30), square(40, 60, 4), square(10, 10, 20))
        np.testing.assert_array_equal(masks, np.stack(wanted).astype(bool))
        flips.add(flipped)
        texts.add(tuple(sample["texts"]))
    rest = ("a corner", "a part of a block")
    assert flips == {False, True} and texts == {("a block", *rest), ("something", *rest)}


def test_texts_are_drawn_by_their_weights(records):
    texts = [{"t": "often", "weight": 3}, "sometimes", {"t": "seldom", "weight": 0.25}]
    records[0]["segments"] = [records[0]["segments"][0] | {"texts": texts}] * 500
    opts = ("INPUT.MIN_SIZE_TRAIN", (48,), "INPUT.CROP.ENABLED", False)
    with datasets.registered(NAME, records, fgaseg_d2={"kind": "segmented"}), seeded(0):
        drawn = SegmentMapper(cfg_for(*opts), NAME)(records[0])["texts"]
    shares = [drawn.count(text) / 500 for text in ("often", "sometimes", "seldom")]
    # Four standard deviations of 500 draws.
    assert np.abs(np.array(shares) - np.array([12, 4, 1]) / 17).max() < 0.082


@pytest.mark.parametrize(
    "weight", [0, -1, 10**400, 1e308, 1000001, float("nan"), float("inf"), "2", None, True]
)
def test_a_bad_weight_is_found_before_the_training(records, weight):
    records[2]["segments"][1]["texts"] = [{"t": "a corner", "weight": weight}]
    with pytest.raises(ValueError, match='record 2, segment 1: expected "weight"'):
        check_segments(NAME, records)


CROPS = ("INPUT.MIN_SIZE_TRAIN", (48,), "INPUT.CROP.SIZE", [24, 24])


def test_a_segment_that_a_crop_leaves_out_goes_with_its_text(records):
    with datasets.registered(NAME, records, fgaseg_d2={"kind": "segmented"}):
        mapper = SegmentMapper(cfg_for(*CROPS), NAME)
    seen = set()
    for seed in range(40):
        with seeded(seed):
            sample = mapper(records[0])
        assert len(sample["segments"]) == len(sample["texts"])
        assert sample["image"].shape[1:] == sample["segments"].shape[1:] == (24, 24)
        masks, texts = without_empty(sample["segments"], sample["texts"])
        assert len(masks) == len(texts) and masks.flatten(1).any(1).all()
        seen.add("a corner" in texts)
    assert seen == {False, True}


def test_a_training_counts_the_segments_that_crops_leave_out(records):
    """Of a batch of the mapper's, with few segments of each picture: no empty one is chosen."""
    with datasets.registered(NAME, records, fgaseg_d2={"kind": "segmented"}):
        mapper = SegmentMapper(cfg_for(*CROPS), NAME)
    with seeded(3):
        batch = [mapper(record) for record in records * 3]
    pixels = [[int(mask.sum()) for mask in sample["segments"]] for sample in batch]
    empty = sum(row.count(0) for row in pixels)
    assert 0 < empty < 3 * len(batch)
    model = build_small(
        *("DATASETS.TRAIN", (), "DATASETS.TEST", (), "MODEL.META_ARCHITECTURE", "USE"),
        *("MODEL.CLIP.FINETUNE", "frozen", "MODEL.USE.DIM", 32, "MODEL.USE.MAX_SEGMENTS", 1),
    ).train()
    with EventStorage(0) as storage:
        model(batch)
        found = {name: value for name, (value, _) in storage.latest().items()}
    assert found["segments/empty"] == empty
    assert found["segments/trained_on"] == sum(any(row) for row in pixels)


def test_the_kind_chooses_the_mapper_and_methods_refuse_what_they_cannot_use(records):
    with datasets.registered(NAME, records, fgaseg_d2={"kind": "segmented"}):
        assert dataset_kind(NAME) == "segmented"
        cfg = cfg_for("DATASETS.TRAIN", (NAME,))
        with pytest.raises(ValueError, match="labelled samples .*got 'own_segments', .*segmented"):
            loaders.check_train_datasets(cfg)
        broken = [records[0] | {"segments": [{"rle": {}, "texts": []}]}]
        with pytest.raises(ValueError, match='record 0, segment 0: expected "texts"'):
            SegmentMapper(cfg, NAME).look_over(broken)
        assert DatasetCatalog.get(NAME)
