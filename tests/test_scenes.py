"""The scenes of the demo, their words, and what `make demo` shows of them to a newcomer."""

import re

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.storybook import draw_scene
from fgaseg_d2.storybook.vocabularies import NOUNS, SEEN
from tests.conftest import ROOT
from tests.demo_tools import in_process

SCENES = ROOT / "demo/scenes"
PAGE = (SCENES / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORDS = re.search(r"^WORDS \?= (.*)$", MAKEFILE, re.MULTILINE)[1].split(",")
SEEDS = {
    name: int(seed) for seed, name in re.findall(r"--scene (\d+) --output demo/scenes/(\w+)", PAGE)
}


@pytest.fixture(scope="module")
def drawn():
    """The scenes as the package draws them, by name."""
    return {name: draw_scene(seed, 384, 512) for name, seed in SEEDS.items()}


def words_in(scene, vocabulary=SEEN):
    """The words of a drawn scene, none of whose pixels may be without one."""
    found = np.unique(vocabulary.labels(scene.label))
    assert found.max() < len(vocabulary.classes)
    return {vocabulary.classes[index] for index in found}


def check_result(scene, words, labels, vocabulary=SEEN):
    """Every word where it belongs, and no other one."""
    truth = vocabulary.labels(scene.label)
    for index, word in enumerate(words):
        found = labels == index
        belongs = truth == vocabulary.classes.index(word)
        if belongs.any():
            assert (found & belongs).sum() / (found | belongs).sum() > 0.8, word
        else:
            assert found.mean() < 0.0005, word


def test_pictures_are_those_of_their_commands_and_in_no_split(drawn):
    assert {f"{name}.jpg" for name in drawn} == {path.name for path in SCENES.glob("*.jpg")}
    for name, scene in drawn.items():
        assert 90_000_000 <= SEEDS[name] < 100_000_000
        picture = np.asarray(Image.open(SCENES / f"{name}.jpg")).astype(int)
        assert abs(picture - scene.image).mean() < 5, name


def test_words_are_those_of_the_scenes(drawn):
    assert sorted(WORDS) == sorted(set().union(*map(words_in, drawn.values())))
    for name, scene in drawn.items():
        listed = re.search(rf"\| `{name}\.jpg` \| (.*) \|", PAGE)[1]
        assert sorted(listed.split(", ")) == sorted(words_in(scene)), name


@pytest.mark.parametrize("words", [WORDS, [*NOUNS.classes]], ids=["make demo", "nouns"])
def test_the_demo_names_everything_in_its_scenes(words, drawn, tmp_path, monkeypatch, capfd):
    run = in_process(monkeypatch, capfd)
    code, _, errors = run("--input", SCENES, "--vocab", ",".join(words), "--output", tmp_path)
    assert code == 0, errors
    for name, scene in drawn.items():
        labels = np.asarray(Image.open(tmp_path / f"{name}_labels.png"))
        check_result(scene, words, labels, SEEN if words is WORDS else NOUNS)


def test_the_demo_finds_the_words_that_are_listed_for_a_scene(drawn, tmp_path, monkeypatch, capfd):
    run = in_process(monkeypatch, capfd)
    for name, scene in drawn.items():
        words = sorted(words_in(scene))
        picture = SCENES / f"{name}.jpg"
        code, _, errors = run("--input", picture, "--vocab", ",".join(words), "--output", tmp_path)
        assert code == 0, errors
        check_result(scene, words, np.asarray(Image.open(tmp_path / f"{name}_labels.png")))


def test_the_first_command_of_the_readme_is_right_everywhere(drawn, tmp_path, monkeypatch, capfd):
    name, words = re.search(
        r"fgaseg-d2 segment demo/scenes/(\w+)\.jpg --vocab \"(.+)\"", README
    ).groups()
    run = in_process(monkeypatch, capfd)
    picture = SCENES / f"{name}.jpg"
    code, _, errors = run("--input", picture, "--vocab", words, "--output", tmp_path)
    assert code == 0, errors
    labels = np.asarray(Image.open(tmp_path / f"{name}_labels.png"))
    classes = [re.split(r"\|", word) for word in words.split(",")]
    # Every pixel of the scene has a word in the command.
    assert words_in(drawn[name], NOUNS) == {synonym for synonyms in classes for synonym in synonyms}
    truth = NOUNS.labels(drawn[name].label)
    for index, synonyms in enumerate(classes):
        belongs = np.isin(truth, [NOUNS.classes.index(synonym) for synonym in synonyms])
        found = labels == index
        assert (found & belongs).sum() / (found | belongs).sum() > 0.8, synonyms
