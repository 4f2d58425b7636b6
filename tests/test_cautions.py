"""What makes a result doubtful is said: in the library's log, and by the demo before results."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from fgaseg_d2.io.files import read_image
from fgaseg_d2.predict.cautions import Cautions, knows_drawings_only
from fgaseg_d2.predict.photographs import looks_like_photograph
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2.storybook import draw_scene
from fgaseg_d2.storybook.dataset import scene_seed
from tests.conftest import ROOT
from tests.demo_tools import RANDOM, in_process

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
SAYS = "looks like a photograph, and these weights know drawn scenes only"


@pytest.fixture(scope="module")
def predictor():
    return OpenVocabPredictor("tiny", device="cpu")


@pytest.fixture
def main(monkeypatch, capfd):
    """The demo's main function; returns exit code and what was written."""
    return in_process(monkeypatch, capfd)


def photograph(name="astronaut.png", side=None):
    image = Image.open(PHOTOGRAPHS / name).convert("RGB")
    return np.asarray(image.resize((side, side)) if side else image)


@pytest.mark.parametrize(
    "name",
    [
        *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png", "coins.png"),
        *("motorcycle_left.png", "motorcycle_right.png", "grass.png", "gravel.png", "brick.png"),
    ],
)
def test_photographs_are_told(name):
    image = photograph(name)
    assert looks_like_photograph(image)
    assert looks_like_photograph(image[: image.shape[0] // 2 * 2 : 2, ::2])


@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_no_scene_of_validation_is_taken_for_a_photograph(step):
    scenes = range(0, 300, step)
    found = [i for i in scenes if looks_like_photograph(draw_scene(scene_seed("val", i)).image)]
    assert found == []


def test_scenes_of_other_sizes_and_in_jpeg_are_none_either(tmp_path):
    for index, (height, width) in enumerate(((512, 512), (300, 400), (128, 128), (768, 1024))):
        scene = draw_scene(95_000_000 + index, height, width).image
        assert not looks_like_photograph(scene)
        Image.fromarray(scene).save(tmp_path / "scene.jpg", quality=75)
        assert not looks_like_photograph(read_image(tmp_path / "scene.jpg"))
    for path in (ROOT / "demo" / "scenes").glob("*.jpg"):
        assert not looks_like_photograph(read_image(path))


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (20, 20), (4000, 3)])
def test_pictures_too_small_to_tell_are_no_photographs(shape):
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    assert not looks_like_photograph(noise)


def test_plain_drawings_are_no_photographs():
    assert not looks_like_photograph(np.full((200, 300, 3), 240, np.uint8))
    assert not looks_like_photograph(photograph("logo.png"))
    assert not looks_like_photograph(photograph("chessboard_RGB.png"))


def test_weights_that_know_drawings_only():
    assert knows_drawings_only("fgaseg_d2://storybook_vit8.safetensors")
    assert knows_drawings_only("somewhere/storybook_vit8.safetensors")
    for weights in ("", "model_final.pth", "https://example.org/model_base.pth"):
        assert not knows_drawings_only(weights)


def test_the_predictor_warns_of_photographs_once(predictor, caplog):
    small = photograph(side=64)
    for image in (small, small):
        predictor(image, "sky,sea")
    assert caplog.text.count(SAYS) == 1
    assert (
        'For photographs: --model catseg_vitb16, in Python OpenVocabPredictor("cat' in caplog.text
    )
    caplog.clear()
    own = OpenVocabPredictor("tiny", "", "cpu")
    own(small, "sky,sea")
    assert SAYS not in caplog.text


def test_a_doubt_of_several_threads_is_told_once(caplog):
    cautions = Cautions()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cautions.warn, ["one and the same"] * 64))
    assert caplog.text.count("one and the same") == 1


def test_the_demo_warns_of_photographs_before_anything_else(main, tmp_path):
    Image.fromarray(photograph(side=96)).save(tmp_path / "me.png")
    Image.fromarray(photograph("coffee.png", side=96)).save(tmp_path / "you.png")
    out = tmp_path / "out"
    code, _, errors = main("--input", tmp_path, "--vocab", "person,rocket", "--output", out)
    assert code == 0
    assert errors.startswith(f"warning: me.png {SAYS}")
    assert errors.count(SAYS) == 1
    assert "For photographs: --model catseg_vitb16" in errors.splitlines()[0]
    code, _, errors = main("--input", tmp_path, "--vocab", "a,b", "--output", out, *RANDOM)
    assert code == 0 and SAYS not in errors


def test_the_demo_says_nothing_of_drawings(main, tmp_path):
    scene = ROOT / "demo" / "scenes" / "village.jpg"
    code, _, errors = main("--input", scene, "--vocab", "house,sky", "--output", tmp_path)
    assert (code, "warning" in errors) == (0, False)


@pytest.mark.parametrize("words", ["cat dog bird", "dog|cat|bird", ["fish"]])
def test_a_single_class_is_said_to_get_every_pixel(predictor, caplog, words):
    result = predictor(np.zeros((40, 40, 3), np.uint8), words)
    assert set(result.shares.values()) == {1.0}
    assert f"there is one class only, {result.class_names[0]!r}" in caplog.text
    assert "separate classes with commas" in caplog.text


def test_words_of_one_meaning_are_said_to_share(predictor, caplog, main, tmp_path):
    image = np.zeros((40, 40, 3), np.uint8)
    for words in ("sofa,couch,sky", ["sofa", "couch", "sky"], "sky,sea"):
        predictor(image, words)
    assert caplog.text.count("'sofa' and 'couch' may mean the same") == 1
    assert "for one class write sofa|couch" in caplog.text
    Image.fromarray(image).save(tmp_path / "a.png")
    code, _, errors = main(
        *("--input", tmp_path / "a.png", "--output", tmp_path / "out", *RANDOM),
        *("--vocab", "people,person,rug,carpet"),
    )
    assert code == 0 and "'people' and 'person' may mean the same (and 1 more pairs)" in errors


def test_words_that_win_nowhere_are_said(main, tmp_path):
    scene = tmp_path / "blue.png"
    Image.new("RGB", (60, 40), (120, 180, 250)).save(scene)
    words = "sky,sea,red house,green cat,striped car,yellow fish"
    code, text, _ = main("--input", scene, "--vocab", words, "--output", tmp_path)
    found = json.loads((tmp_path / "blue.json").read_text())["shares"]
    absent = [name for name, share in found.items() if share == 0]
    assert code == 0 and absent
    assert f"; nowhere: {', '.join(absent)}\n" in text
    many = ",".join(f"word {n}" for n in range(30))
    code, text, _ = main("--input", scene, "--vocab", many, "--output", tmp_path)
    assert code == 0 and "; nowhere: " not in text


def test_warnings_of_the_library_reach_the_user_of_the_demo(main, tmp_path):
    Image.new("RGB", (40, 30), (90, 120, 200)).save(tmp_path / "a.png")
    long = "the house on the hill by the sea where the old man lived for many years with his cat"
    code, _, errors = main(
        *("--input", tmp_path / "a.png", "--output", tmp_path / "out", *RANDOM),
        *("--vocab", f"{long} and his dog,{long} and his bird"),
    )
    assert code == 0
    assert "warning: 2 of 2 names fill CLIP's 24 tokens and may have been cut" in errors
    assert "warning: 2 names are one and the same to CLIP" in errors
    code, _, errors = main(
        *("--input", tmp_path / "a.png", "--output", tmp_path / "out", *RANDOM),
        *("--vocab", "cat dog"),
    )
    assert "warning: there is one class only, 'cat dog'" in errors


def test_a_clip_that_learned_from_drawings_alone_is_told_as_well(monkeypatch, capfd, tmp_path):
    Image.fromarray(photograph(side=64)).save(tmp_path / "photo.png")
    code, _, errors = in_process(monkeypatch, capfd)(
        *(tmp_path / "photo.png", "--vocab", "cat,dog", "--output", tmp_path / "new"),
        *("--model", "storybook_clip_training_free"),
    )
    assert code == 0
    assert f"photo.png {SAYS}" in errors and "--model catseg_vitb16" in errors
