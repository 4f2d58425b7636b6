"""One picture, one configuration: predictor, evaluation, training and Detectron2 see the same."""

import numpy as np
import pytest
import torch
from detectron2.engine import DefaultPredictor
from PIL import Image

from fgaseg_d2.config.values import leaves
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.engine.run_description import describe_run
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests import datasets
from tests.conftest import config
from tests.demo_tools import in_process, write_picture

WORDS = "red house,tree|pine,sky"
# Another value, or several, for every key of INPUT.
OTHER = {
    "MIN_SIZE_TEST": (0, 1, 33, 64, 200),
    "MAX_SIZE_TEST": (1, 40, 5000),
    "FORMAT": ("BGR",),
    "MIN_SIZE_TRAIN": ((10,),),
    "MIN_SIZE_TRAIN_SAMPLING": ("range",),
    "MAX_SIZE_TRAIN": (10,),
    "RANDOM_FLIP": ("vertical",),
    "MASK_FORMAT": ("bitmask",),
    "COLOR_AUG_SSD": (True,),
    "CROP.ENABLED": (False,),
    "CROP.TYPE": ("relative",),
    "CROP.SIZE": ([8, 8],),
    "CROP.AREA": ([0.2, 0.5],),
    "CROP.SINGLE_CATEGORY_MAX_AREA": (0.5,),
}
# What must change with a key.
TOGETHER = {
    "MIN_SIZE_TRAIN_SAMPLING": ("INPUT.MIN_SIZE_TRAIN", (192, 256)),
    "CROP.TYPE": ("INPUT.CROP.SIZE", [0.9, 0.9]),
}
# Height x width; one is so narrow that the resizing would leave no row of it.
SIZES = ((48, 64), (90, 31), (64, 64), (3, 400))


def small_config(*opts):
    return config("tests/data/small.yaml", "INPUT.MIN_SIZE_TEST", 96, *opts)


def picture(height, width):
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), np.uint8)


def seen_by(predictor, *arguments):
    """The "image" of what a predictor gives its model."""
    seen = []
    hook = predictor.model.register_forward_pre_hook(
        lambda model, inputs: seen.extend(item["image"] for item in inputs[0])
    )
    predictor(*arguments)
    hook.remove()
    return seen[0]


def mapped(folder, cfg, image, is_train=False):
    """What the evaluation, or the training, makes of a picture in a file."""
    label = np.zeros(image.shape[:2], np.uint8)
    record = datasets.write_pair(folder, "picture", image, label)
    with datasets.registered("inputs", [record]):
        return SemanticMapper(cfg, "inputs", is_train)(record)["image"]


def test_every_key_of_input_is_tried():
    assert set(OTHER) == {key for key, _ in leaves(small_config().INPUT)}


@pytest.mark.parametrize("key", OTHER)
def test_predictor_evaluation_and_detectron2_see_the_same(key, tmp_path):
    for value in OTHER[key]:
        opts = (f"INPUT.{key}", value, *TOGETHER.get(key, ()))
        cfg = small_config(*opts, "MODEL.FGASEG.VOCABULARY", WORDS)
        ours, theirs = OpenVocabPredictor(cfg), DefaultPredictor(cfg)
        for size in SIZES:
            image = picture(*size)
            seen = seen_by(ours, image)
            assert torch.equal(mapped(tmp_path, cfg, image), seen)
            shortest = min(seen.shape[1:])
            # Detectron2's own fails where no row or column is left.
            if shortest > 1 or shortest == min(size):
                expected = seen_by(theirs, image[:, :, ::-1])
                assert torch.equal(seen.float(), expected)


@pytest.mark.parametrize("image_format", ["RGB", "BGR"])
@pytest.mark.parametrize("size", [48, 96])
def test_training_sees_the_same_where_nothing_is_drawn(tmp_path, size, image_format):
    cfg = small_config(
        *("INPUT.MIN_SIZE_TEST", size, "INPUT.MIN_SIZE_TRAIN", (size,)),
        *("INPUT.MAX_SIZE_TRAIN", 2560, "INPUT.FORMAT", image_format),
        *("INPUT.CROP.ENABLED", False, "INPUT.RANDOM_FLIP", "none"),
    )
    image = picture(60, 80)
    trained = mapped(tmp_path, cfg, image, is_train=True)
    assert torch.equal(trained, mapped(tmp_path, cfg, image))


def test_size_0_leaves_a_picture_as_it_is(tmp_path):
    cfg = small_config("INPUT.MIN_SIZE_TEST", 0, "INPUT.MAX_SIZE_TEST", 40)
    image = picture(48, 64)
    assert (mapped(tmp_path, cfg, image).permute(1, 2, 0).numpy() == image).all()
    assert "own size" in describe_run(cfg)["protocol"]


def test_the_demo_with_size_0_equals_that_of_the_picture(tmp_path, monkeypatch, capfd):
    main = in_process(monkeypatch, capfd)
    write_picture(tmp_path / "scene.png", (64, 64))
    labels, opts = [], ("MODEL.WEIGHTS", "fgaseg_d2://storybook_vit8.safetensors")
    for size in (0, 64):
        output = tmp_path / str(size)
        code = main(
            *("--input", tmp_path / "scene.png", "--vocab", WORDS, "--output", output),
            *("--device", "cpu", "--opts", "INPUT.MIN_SIZE_TEST", size, *opts),
        )[0]
        assert code == 0
        labels.append(np.asarray(Image.open(output / "scene_labels.png")))
    assert len(np.unique(labels[0])) > 1
    assert (labels[0] == labels[1]).all()
