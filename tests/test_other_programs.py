"""Predictor and results in the hands of another program."""

import copy
import pickle

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.io.files import read_image
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests.conftest import config

WORDS = "red house,tree|pine,sky"


def new_predictor(*opts):
    torch.manual_seed(0)
    return OpenVocabPredictor(config("tests/data/small.yaml", *opts))


@pytest.fixture(scope="module")
def predictor():
    return new_predictor()


def picture(height=40, width=60, channels=3):
    return np.random.default_rng(0).integers(0, 255, (height, width, channels), np.uint8)


def as_file(path, array):
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("kind", ["array", "grey", "rgba", "16 bits", "PIL", "file", "read-only"])
def test_results_belong_to_the_caller(predictor, tmp_path, kind):
    array = picture()
    image = {
        "array": lambda: array,
        "grey": lambda: array[..., 0],
        "rgba": lambda: picture(channels=4),
        "16 bits": lambda: array.astype(np.uint16) * 257,
        "PIL": lambda: Image.fromarray(array),
        "file": lambda: as_file(tmp_path / "a.png", array),
        "read-only": lambda: np.broadcast_to(array[:1], array.shape),
    }[kind]()
    result = predictor(image, WORDS)
    for drawn in (result.image, result.overlay()):
        assert drawn.flags.writeable and drawn.flags.c_contiguous
        cv2.circle(drawn, (20, 20), 9, (255, 0, 0), -1)
        assert (drawn[20, 20] == (255, 0, 0)).all()
    result.labels[0] = 1
    result.scores[0] = 0
    explained = predictor.explain(image, WORDS)
    for values in (explained.image, explained.gcs, explained.lcs, explained.sheet()):
        values[0] = 0


def test_a_picture_that_changes_afterwards_changes_no_result(predictor):
    array = picture()
    result = predictor(array, WORDS)
    before = result.image.copy()
    array[:] = 0
    assert (result.image == before).all()


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (picture().astype(np.int64), "array.astype(np.uint8)"),
        (picture().astype(np.uint32) * 257, "array.astype(np.uint16)"),
        (picture().astype(np.int32) - 300, "scale its values to 0..255"),
        (picture() / 255, "(255 * array).round().astype(np.uint8)"),
        (picture().astype(np.float32), "array.round().astype(np.uint8)"),
        (np.full((9, 9, 3), np.nan), "no numbers"),
        (picture() > 9, "255 * array.astype(np.uint8)"),
        (picture().astype(complex), "numbers from 0 to 255"),
        (picture().astype(object), "numbers from 0 to 255"),
        (picture().transpose(2, 0, 1), "array.transpose(1, 2, 0)"),
        (picture()[None], "one by one"),
        (picture(channels=2), "1, 3 or 4 channels"),
        (np.zeros((0, 4, 3), np.uint8), "check how it was cut"),
    ],
)
def test_arrays_of_other_kinds_get_advice_that_helps(predictor, array, advice):
    with pytest.raises(ValueError) as caught:
        predictor(array, WORDS)
    message = str(caught.value)
    assert advice in message and "\n" not in message and len(message) < 400
    # What is right already is not told.
    assert ("transpose" in message) == (array.shape[0] == 3)
    assert ("0..255" in message or "astype" in message) <= (array.dtype != np.uint8)


def test_advice_on_channels_and_values_together(predictor):
    with pytest.raises(ValueError, match="transpose.*and.*255"):
        predictor(np.random.default_rng(0).random((3, 40, 60)), WORDS)


def test_the_advice_is_right(predictor):
    array = picture()
    expected = predictor(array, WORDS).labels
    floats = array / 255
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    for advised in (
        array.astype(np.int64).astype(np.uint8),
        (255 * floats).round().astype(np.uint8),
        tensor,
        tensor.permute(1, 2, 0),
        array.astype(">u2") * 257,
    ):
        assert (predictor(advised, WORDS).labels == expected).all()
    with pytest.raises(ValueError, match=r"type float32; scale it by \(255 \* array\)"):
        predictor(tensor / 255, WORDS)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "P", "LA", "RGBA", "RGBa", "La", "PA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"],
)
def test_modes_of_pillow(predictor, mode):
    grey = Image.fromarray(picture()[..., 0])
    if mode in ("RGBa", "La"):
        image = grey.convert(mode[:-1] + "A").convert(mode)
    elif mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode in ("LA", "P", "PA"):
        image = grey.convert(mode if mode == "LA" else "P").convert(mode)
    else:
        image = grey.convert("RGB").convert(mode)
    found = read_image(image)
    assert found.shape == (40, 60, 3)
    if mode != "1":
        assert np.abs(found.astype(int) - np.asarray(grey)[..., None]).max() <= 8


def test_floats_of_pillow_have_no_known_range(predictor):
    image = Image.new("F", (20, 20), 0.5)
    with pytest.raises(ValueError, match="expected a .*picture.*convert it") as caught:
        predictor(image, WORDS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("images", ["a.png", b"a", picture(), Image.new("RGB", (9, 9))])
def test_a_single_picture_is_no_batch(predictor, images):
    with pytest.raises(ValueError, match="expected pictures in a list, got a single one"):
        predictor.batch(images, WORDS)


def test_a_batch_may_be_one_array(predictor):
    array = picture()
    results = predictor.batch(np.stack([array, array[::-1]]), WORDS)
    assert (results[0].image == array).all() and len(results) == 2


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("half", 0.02), ("bfloat16", 0.1), ("double", 1e-4)]
)
@pytest.mark.parametrize("opts", [(), ("TEST.SLIDING_WINDOW.ENABLED", True)])
def test_models_in_another_precision(precision, tolerance, opts):
    predictor = new_predictor(*opts)
    expected = predictor.explain(picture(), WORDS)
    getattr(predictor.model, precision)()
    result = predictor.explain(picture(), WORDS)
    assert result.scores.dtype == torch.float32
    torch.testing.assert_close(result.scores, expected.scores, atol=tolerance, rtol=0)
    np.testing.assert_allclose(result.gcs, expected.gcs, atol=tolerance)
    predictor.model.float()
    again = predictor(picture(), WORDS)
    torch.testing.assert_close(again.scores, expected.scores, atol=max(0.02, tolerance), rtol=0)


@pytest.mark.parametrize("look", ["__call__", "explain"])
def test_a_model_in_training_mode_is_refused_in_a_line(look):
    predictor = new_predictor()
    expected = predictor(picture(), WORDS).scores
    predictor.model.train()
    with pytest.raises(ValueError, match=r"call predictor.model.eval\(\) first"):
        getattr(predictor, look)(picture(), WORDS)
    predictor.model.eval()
    assert torch.equal(getattr(predictor, look)(picture(), WORDS).scores, expected)


def test_inference_mode_around_everything():
    with torch.inference_mode():
        predictor = new_predictor()
        result = predictor(picture(), WORDS)
        assert (predictor.explain(picture(), WORDS).labels == result.labels).all()
    assert not result.scores.is_inference()
    result.scores.mul_(0.5)
    # What was built there can still be trained and used elsewhere.
    assert all(p.requires_grad for p in predictor.model.sem_seg_head.parameters())
    torch.testing.assert_close(predictor(picture(), WORDS).scores / 2, result.scores)


def test_a_detectron2_model_built_in_inference_mode_sees_new_weights():
    from detectron2.modeling import build_model

    torch.manual_seed(0)
    with torch.inference_mode():
        model = build_model(config("tests/data/small.yaml")).eval()
        inputs = [{"image": torch.rand(3, 32, 32) * 255, "vocabulary": WORDS}]
        before = model(inputs)[0]["sem_seg"]
        model.text_encoder.clip.text_projection.neg_()
        assert not torch.allclose(model(inputs)[0]["sem_seg"], before)


def test_gradients_autocast_and_defaults_of_the_program_change_nothing(predictor):
    expected = predictor(picture(), WORDS)
    predictor.model.text_encoder.clear_cache()
    torch.set_default_dtype(torch.float64)
    try:
        result = predictor(picture(), WORDS)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(result.scores, expected.scores, atol=1e-5, rtol=0)
    predictor.model.text_encoder.clear_cache()
    with torch.device("meta"), torch.enable_grad():
        result = predictor(picture(), WORDS)
    torch.testing.assert_close(result.scores, expected.scores, atol=1e-5, rtol=0)
    assert not result.scores.requires_grad
    with torch.autocast("cpu", torch.bfloat16):
        result = predictor(picture(), WORDS)
    assert result.scores.dtype == torch.float32
    torch.testing.assert_close(result.scores, expected.scores, atol=0.1, rtol=0)
    assert torch.equal(predictor(picture(), WORDS).scores, expected.scores)


def test_another_default_device_and_windows():
    predictor = new_predictor("TEST.SLIDING_WINDOW.ENABLED", True)
    expected = predictor(picture(), WORDS).scores
    with torch.device("meta"):
        found = predictor(picture(), Vocabulary.coerce(WORDS, background="wall")).scores
    assert found.shape == (4, *expected.shape[1:])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_predictors_and_results_are_copied(predictor, copied):
    expected = predictor.explain(picture(), WORDS)
    assert expected.shares
    twin = copied(predictor)
    assert torch.equal(twin(picture(), WORDS).scores, expected.scores)
    result = copied(expected)
    assert torch.equal(result.scores, expected.scores) and result.shares == expected.shares
    assert result.vocabulary == expected.vocabulary
    assert (result.overlay() == expected.overlay()).all()
    result.image[:] = 0
    assert expected.image.any()
