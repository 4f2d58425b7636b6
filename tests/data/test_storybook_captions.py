"""Storybook's pictures with captions: they say what is there, in changing words, and no more."""

import re
from collections import Counter

import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from fgaseg_d2.data import register_storybook
from fgaseg_d2.data.datasets.storybook import CAPTIONS
from fgaseg_d2.data.records import check_captions, dataset_kind, dataset_records
from fgaseg_d2.storybook import STUFF_CLASSES, TRAINING_PRODUCTS, dataset, draw_scene, write_dataset
from fgaseg_d2.storybook.captions import Sight, draw_captioned, sights, write_caption
from fgaseg_d2.storybook.classes import CLASS_IDS, COLORS, PATTERNS, PLAIN, THINGS, Product
from fgaseg_d2.storybook.dice import Dice

NOUNS = {*THINGS, *STUFF_CLASSES}
RED_HOUSE = Sight(CLASS_IDS["red house"], 0.3)
BLUE_STRIPED_CAT = Sight(CLASS_IDS["blue striped cat"], 0.1)
SKY = Sight(CLASS_IDS["sky"], 0.6)


@pytest.fixture(scope="module")
def pictures():
    return [draw_captioned(seed, 48, 64, TRAINING_PRODUCTS) for seed in range(250)]


@pytest.fixture(autouse=True)
def _forget_registration():
    yield
    register_storybook()


def words(caption):
    return re.findall(r"[a-z]+", caption)


def test_sights_are_counted_and_sorted():
    label = np.full((10, 10), 255, np.uint8)
    label[:3], label[3, :9], label[4, 0] = CLASS_IDS["sky"], CLASS_IDS["red house"], 3
    assert sights(label) == [
        Sight(CLASS_IDS["sky"], 0.3),
        Sight(CLASS_IDS["red house"], 0.09),
    ]
    assert [sight.share for sight in sights(label, least=0.0)] == [0.3, 0.09, 0.01]
    assert sights(np.full((4, 4), 255, np.uint8)) == []


def test_a_caption_names_what_is_there_and_nothing_else():
    said = Counter()
    for seed in range(400):
        caption = write_caption([SKY, RED_HOUSE, BLUE_STRIPED_CAT], Dice(seed))
        found = [word for word in words(caption) if word in NOUNS]
        assert set(found) <= {"sky", "house", "cat"}, caption
        # The larger of two things is mentioned first, and no caption is about the sky alone.
        assert found[0] == "house", caption
        assert not re.search(r"(blue|striped|dotted|checked) house|red (striped )?cat", caption)
        # A pair is called by its most telling word, as in the classes.
        assert not re.search("blue cat", caption), caption
        said.update({caption})
    assert len(said) > 300  # they vary
    phrases = ("red house", "blue striped cat", "striped cat", "sky", "a house", "the house")
    assert all(any(phrase in caption for caption in said) for phrase in phrases)


def test_without_colors_no_caption_names_one():
    for seed in range(200):
        caption = write_caption([RED_HOUSE, BLUE_STRIPED_CAT, SKY], Dice(seed), colors=False)
        assert not set(COLORS) & set(words(caption)), caption


def test_stuff_alone_and_nothing_at_all():
    captions = {write_caption([SKY], Dice(seed)) for seed in range(50)}
    assert all("sky" in caption for caption in captions)
    assert write_caption([], Dice(0)) == "an empty page"


def test_pictures_are_details_of_scenes_that_training_may_show(pictures):
    named = Counter()
    for image, captions in pictures:
        assert image.shape == (48, 64, 3)
        assert image.dtype == np.uint8
        assert len(captions) == 3
        for caption in captions:
            named.update(word for word in words(caption) if word in NOUNS)
            for noun in set(words(caption)) & set(THINGS):
                # Unless it is a thing's pair that is held out, it may be said.
                for attribute in (*COLORS, *PATTERNS):
                    if re.search(rf"\b{attribute} {noun}\b", caption):
                        color = attribute if attribute in COLORS else None
                        pattern = attribute if attribute in PATTERNS else PLAIN
                        assert any(
                            item.thing == noun
                            and item.pattern == pattern
                            and color in (None, item.color)
                            for item in TRAINING_PRODUCTS
                        ), caption
    assert set(named) == NOUNS


def test_grey_and_recolored_pictures_are_captioned_without_colors(pictures):
    grey = [(image, texts) for image, texts in pictures if (image == image[..., :1]).all()]
    assert 0.03 < len(grey) / len(pictures) < 0.2
    for _, captions in grey:
        assert not set(COLORS) & set(words(" ".join(captions)))


def test_a_picture_is_a_window_of_its_scene():
    image, _ = draw_captioned(2, 40, 40, (Product("red", PLAIN, "car"),))
    sides = {round(40 * zoom) for zoom in np.linspace(1.6, 3.2, 400)}
    assert any(
        (window == image).all()
        for side in sides
        for window in np.lib.stride_tricks.sliding_window_view(
            draw_scene(2, side, side, (Product("red", PLAIN, "car"),)).image, (40, 40), (0, 1)
        )
        .transpose(0, 1, 3, 4, 2)
        .reshape(-1, 40, 40, 3)
    )


def test_the_same_seed_gives_the_same_picture_and_captions(pictures):
    image, captions = draw_captioned(7, 48, 64, TRAINING_PRODUCTS)
    np.testing.assert_array_equal(image, pictures[7][0])
    assert captions == pictures[7][1]


def test_registered_names_are_captioned_samples(tmp_path, monkeypatch):
    for name, split in CAPTIONS.items():
        folder = write_dataset(tmp_path, split, 3, height=32, width=40, workers=1)
        register_storybook(tmp_path)
        records = dataset_records(name)
        check_captions(name, records)
        assert dataset_kind(name) == "captioned"
        assert len(records) == 3
        seed = dataset.scene_seed(split, 1)
        assert records[1]["captions"] == draw_captioned(seed, 32, 40, TRAINING_PRODUCTS)[1]
        assert (records[1]["height"], records[1]["width"]) == (32, 40)
        # What is missing is drawn again, captions too.
        (folder / "captions" / "000001.txt").unlink()
        assert DatasetCatalog.get(name) == records
