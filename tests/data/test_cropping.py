"""Crops of a share of a picture's area, made one size."""

import numpy as np
import pytest
import torch

from fgaseg_d2.data.mappers import CaptionMapper, SemanticMapper
from fgaseg_d2.data.seeding import seeded
from tests import datasets
from tests.conftest import config

HEIGHT, WIDTH = 160, 240


def cfg_for(*opts):
    return config(
        "tests/data/small.yaml",
        *("INPUT.CROP.TYPE", "resized", "INPUT.CROP.SIZE", [48, 64], "INPUT.RANDOM_FLIP", "none"),
        *("INPUT.COLOR_AUG_SSD", False, *opts),
    )


def places():
    """A picture whose red says the column and whose green says the row."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def extent(image):
    """Height and width that a crop of :func:`places` shows, in pixels of the picture."""
    image = image.double()
    # Between the outermost pixels' centres there is one pixel less than across the crop.
    column, row = image[0, 24], image[1, :, 32]
    return (row[-1] - row[0]) * 48 / 47, (column[-1] - column[0]) * 64 / 63


def crops(mapper, record, count):
    for seed in range(count):
        with seeded(seed):
            yield mapper(record)


@pytest.mark.parametrize("area", [(0.08, 1.0), (0.2, 0.3), (0.5, 0.5)])
def test_a_crop_is_a_share_of_the_area_and_its_sides_differ_by_a_third_at_most(tmp_path, area):
    record = datasets.write_pair(tmp_path, "places", places(), np.zeros((HEIGHT, WIDTH), np.uint8))
    with datasets.registered("cropped", [record]):
        mapper = SemanticMapper(cfg_for("INPUT.CROP.AREA", list(area)), "cropped")
        samples = list(crops(mapper, record, 60))
    assert {tuple(sample["image"].shape) for sample in samples} == {(3, 48, 64)}
    sides = torch.stack([torch.stack(extent(sample["image"])) for sample in samples])
    shares = sides.prod(1) / (HEIGHT * WIDTH)
    # Colours are whole numbers, and windows whole pixels.
    assert shares.min() > area[0] * 0.9 - 0.01 and shares.max() < area[1] * 1.1
    ratios = sides[:, 1] / sides[:, 0]
    assert ratios.min() > 0.7 and ratios.max() < 1.42
    if area[1] - area[0] > 0.5:
        assert shares.min() < 0.25 and shares.max() > 0.75
        assert ratios.min() < 0.9 and ratios.max() > 1.1


def test_labels_lie_where_their_pixels_do(tmp_path):
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:, WIDTH // 2 :] = 1
    record = datasets.write_pair(tmp_path, "places", places(), label)
    with datasets.registered("cropped", [record]):
        samples = list(crops(SemanticMapper(cfg_for(), "cropped"), record, 20))
    both = 0
    for sample in samples:
        right = sample["image"][0].int() >= WIDTH // 2
        # Between the two middles the colour is mixed, the label is not.
        clear = (sample["image"][0].int() - WIDTH // 2).abs() > 4
        assert torch.equal(sample["sem_seg"][clear] == 1, right[clear])
        both += len(sample["sem_seg"].unique()) == 2
    assert both >= 5


def test_a_window_of_one_class_is_drawn_again(tmp_path):
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:, 160:] = 1
    label[0] = 255
    record = datasets.write_pair(tmp_path, "places", places(), label)
    counts = []
    for share in (1.0, 0.7):
        opts = ("INPUT.CROP.AREA", [0.1, 0.4], "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA", share)
        with datasets.registered("cropped", [record]):
            samples = crops(SemanticMapper(cfg_for(*opts), "cropped"), record, 40)
            maps = [sample["sem_seg"] for sample in samples]
        means = [(one == 0).sum() / (one != 255).sum() for one in maps]
        counts.append(sum(0.28 < mean < 0.72 for mean in means))
    # Of ten draws nearly always one is mixed.
    assert counts[0] < 20 and counts[1] >= 36


def test_captioned_pictures_are_cropped_and_tiny_ones_too(tmp_path):
    datasets.write_pair(tmp_path, "places", places(), np.zeros((HEIGHT, WIDTH), np.uint8))
    datasets.write_pair(
        tmp_path, "dot", np.full((1, 1, 3), 7, np.uint8), np.zeros((1, 1), np.uint8)
    )
    names = ("places.png", "dot.png")
    records = [{"file_name": str(tmp_path / name), "captions": [name]} for name in names]
    with datasets.registered("cropped", records, fgaseg_d2={"kind": "captioned"}):
        mapper = CaptionMapper(cfg_for(), "cropped")
    seen = {sample["image"].numpy().tobytes() for sample in crops(mapper, records[0], 8)}
    again = {sample["image"].numpy().tobytes() for sample in crops(mapper, records[0], 8)}
    assert len(seen) == 8 and seen == again
    assert (mapper(records[1])["image"] == 7).all()


def test_the_schedule_of_cc3m_has_them():
    crop = config("configs/mgca/cc3m.yaml").INPUT.CROP
    assert crop.ENABLED and crop.TYPE == "resized"
    assert list(crop.SIZE) == [224, 224] and list(crop.AREA) == [0.08, 1.0]
