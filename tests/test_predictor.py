"""The predictor: pictures in, segmentations at their own size out, words that change."""

import json

import numpy as np
import pytest
import torch
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.predict import outputs
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2.predict.segmentation import Segmentation

WORDS = "red house,tree|pine,sky"


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    return OpenVocabPredictor("tiny", weights="", device="cpu")


@pytest.fixture(scope="module")
def weights(predictor, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "model.pth"
    torch.save({"model": predictor.model.state_dict()}, file)
    return file


def picture(height, width, seed=0):
    """Coloured rectangles, so that something differs from place to place."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 255, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST))


def test_result_has_the_size_of_the_picture(predictor):
    for size in ((60, 90), (97, 41), (1, 30)):
        result = predictor(picture(*size), WORDS)
        assert result.labels.shape == size
        assert result.labels.dtype == np.int32
        assert result.scores.shape == (3, *size)
        assert 0 <= result.scores.min() <= result.scores.max() <= 1
        assert (result.labels == result.scores.argmax(0).numpy()).all()
        assert result.class_names == ("red house", "tree", "sky")
        assert sum(result.shares.values()) == pytest.approx(1)
        assert result.shares["sky"] == pytest.approx((result.labels == 2).mean())


def test_batch_equals_singles(predictor):
    images = [picture(60, 90), picture(80, 50, 1), picture(60, 90, 2)]
    for result, image in zip(predictor.batch(images, WORDS), images, strict=True):
        alone = predictor(image, WORDS)
        torch.testing.assert_close(result.scores, alone.scores, atol=1e-5, rtol=0)
        assert (result.image == image).all()


def test_words_may_differ_within_a_batch(predictor):
    image = picture(60, 90)
    words = [Vocabulary.parse(WORDS), Vocabulary.parse("sky,sea"), Vocabulary.parse(WORDS)]
    first, second, third = predictor.batch([image] * 3, words)
    assert second.class_names == ("sky", "sea")
    torch.testing.assert_close(first.scores, third.scores, atol=1e-5, rtol=0)
    alone = predictor(image, "sky,sea")
    torch.testing.assert_close(second.scores, alone.scores, atol=1e-5, rtol=0)


def test_vocabularies_of_a_batch_come_as_any_iterable(predictor):
    own = [Vocabulary.parse("sky,sea"), Vocabulary.parse(WORDS)]
    expected = [words.class_names for words in own]
    by_name = dict(zip("ab", own))
    for words in (tuple(own), iter(own), (item for item in own), by_name.values()):
        results = predictor.batch([picture(40, 40)] * 2, words)
        assert [result.class_names for result in results] == expected
    names = (name for name in ("sky", "sea"))
    results = predictor.batch([picture(40, 40)] * 2, names)
    assert [result.class_names for result in results] == [("sky", "sea")] * 2


def test_registered_dataset_brings_the_words(predictor):
    result = predictor(picture(40, 40), "storybook_val")
    assert result.class_names == Vocabulary.from_metadata("storybook_val").class_names


def test_words_change_from_call_to_call(predictor):
    image = picture(60, 90)
    before = predictor(image, WORDS)
    turned = predictor(image, ["sky", "tree|pine", "red house"])
    torch.testing.assert_close(turned.scores.flip(0), before.scores, atol=1e-5, rtol=0)
    assert (predictor(image, WORDS).scores == before.scores).all()


def test_background_words_and_threshold(predictor):
    image = picture(60, 90)
    by_words = predictor(image, Vocabulary.coerce("sky,tree", background="wall,floor"))
    assert by_words.class_names == ("sky", "tree", "background")
    everything = predictor(image, "sky,tree,wall,floor").scores
    torch.testing.assert_close(by_words.scores[2], everything[2:].amax(0), atol=0.02, rtol=0)
    nothing = predictor(image, Vocabulary.coerce("sky,tree", background_threshold=1.0))
    assert nothing.shares == {"sky": 0, "tree": 0, "background": 1}


def test_pictures_of_every_kind_give_the_same(predictor, tmp_path):
    image = picture(60, 90)
    Image.fromarray(image).save(tmp_path / "a.png")
    transparent = np.dstack([image, np.full((60, 90), 255, np.uint8)])
    expected = predictor(image, WORDS)
    assert expected.source == ""
    for kind in (tmp_path / "a.png", Image.fromarray(image), transparent):
        assert (predictor(kind, WORDS).scores == expected.scores).all()
    assert predictor(tmp_path / "a.png", WORDS).source == str(tmp_path / "a.png")


def test_agrees_with_detectron2s_own_predictor(predictor, weights):
    image = picture(60, 90)
    opts = ("MODEL.FGASEG.VOCABULARY", WORDS)
    cfg = load_config("tiny", opts, weights=weights, device="cpu")
    theirs = DefaultPredictor(cfg)(image[:, :, ::-1])["sem_seg"]
    torch.testing.assert_close(theirs, predictor(image, WORDS).scores, atol=1e-5, rtol=0)
    assert OpenVocabPredictor(cfg).default_vocabulary == Vocabulary.parse(WORDS)


def test_channel_order_of_the_configuration(predictor, weights):
    mean, std = predictor.cfg.MODEL.PIXEL_MEAN, predictor.cfg.MODEL.PIXEL_STD
    opts = ("INPUT.FORMAT", "BGR", "MODEL.PIXEL_MEAN", mean[::-1], "MODEL.PIXEL_STD", std[::-1])
    other = OpenVocabPredictor("tiny", weights, "cpu", opts)
    image = picture(60, 90)
    given = other._prepare(image, Vocabulary.parse(WORDS))["image"]
    usual = predictor._prepare(image, Vocabulary.parse(WORDS))["image"]
    assert (given == usual.flip(0)).all()


def test_says_which_weights_it_has(predictor, weights):
    total = sum(p.numel() for p in predictor.model.parameters())
    assert "random" in predictor.weights_summary
    assert "means nothing" in predictor.weights_summary
    assert f"{total:,}" in predictor.weights_summary
    loaded = OpenVocabPredictor("tiny", weights, "cpu")
    assert loaded.weights_summary.count(f"{total:,}") == 2
    assert str(weights) in loaded.weights_summary
    assert "random" not in loaded.weights_summary
    image = picture(60, 90)
    assert (loaded(image, WORDS).scores == predictor(image, WORDS).scores).all()
    assert loaded(image, WORDS).weights == loaded.weights_summary


def test_own_words_are_the_default(predictor):
    assert len(predictor.default_vocabulary) > 10
    result = predictor(picture(40, 40))
    assert result.class_names == predictor.default_vocabulary.class_names


def test_huge_pictures_keep_their_labels_but_smaller_scores(predictor, monkeypatch):
    image = picture(120, 180)
    whole = predictor(image, WORDS)
    monkeypatch.setattr(outputs, "_MAX_SCORES", 3 * 60 * 90)
    result = predictor(image, WORDS)
    assert result.scores.shape == (3, 60, 90)
    assert (result.labels == whole.labels).all()


def test_more_than_255_classes_are_saved_in_16_bits(tmp_path):
    words = Vocabulary.from_names(f"word {number}" for number in range(256))
    labels = np.arange(256, dtype=np.int32).reshape(8, 32)
    result = Segmentation(picture(8, 32), labels, torch.zeros(256, 8, 32), words)
    paths = result.save(tmp_path, "many")
    assert (np.asarray(Image.open(paths["labels"])) == labels).all()


def test_save(predictor, tmp_path):
    result = predictor(picture(60, 90), WORDS)
    paths = result.save(tmp_path / "new", "scene", ".jpg")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "scene.json",
        "scene_labels.png",
        "scene_overlay.jpg",
    ]
    labels = Image.open(paths["labels"])
    assert labels.mode == "L"
    assert (np.asarray(labels) == result.labels).all()
    content = json.loads(paths["json"].read_text())
    assert (content["width"], content["height"]) == (90, 60)
    assert content["shares"] == pytest.approx(result.shares, abs=1e-6)
    assert Vocabulary.from_names(content["vocabulary"]["classes"]) == result.vocabulary
    assert content["weights"] == predictor.weights_summary


def test_classes_of_one_name_share(predictor):
    vocabulary = Vocabulary((("bag",), ("bag",), ("cup",)))
    result = predictor(picture(40, 40), vocabulary)
    assert set(result.shares) == {"bag", "cup"}
    assert sum(result.shares.values()) == pytest.approx(1)


def test_wrong_use(predictor, tmp_path):
    with pytest.raises(ValueError, match="one vocabulary for each of 2 pictures, got 1"):
        predictor.batch([picture(9, 9)] * 2, [Vocabulary.parse("a")])
    mixed = [Vocabulary.parse("a"), "b"]
    for count in (1, 2):
        with pytest.raises(ValueError, match="got 1 vocabularies among 2 items") as caught:
            predictor.batch([picture(9, 9)] * count, mixed)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="one class each, or a single string"):
        predictor.batch([picture(9, 9)], ["a,b"])
    with pytest.raises(ValueError, match=r"call add_fgaseg_config\(cfg\) first"):
        OpenVocabPredictor(get_cfg())
    with pytest.raises(ValueError, match="got list"):
        predictor([picture(9, 9)], WORDS)
    with pytest.raises(FileNotFoundError):
        predictor(tmp_path / "none.png", WORDS)
    with pytest.raises(ValueError, match="got nothing"):
        predictor(picture(9, 9), "")
    assert predictor.batch([], WORDS) == []
