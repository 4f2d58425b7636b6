"""The README's commands and code, run as a user would, and the model in the box."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch

import fgaseg_d2
from fgaseg_d2 import OpenVocabPredictor, Vocabulary
from fgaseg_d2.storybook import SEEN_CLASSES, draw_scene
from fgaseg_d2.storybook.vocabularies import SEEN
from tests.conftest import ROOT
from tests.demo_tools import demo

README = (ROOT / "README.md").read_text(encoding="utf-8")
PHOTO = Path(skimage.__file__).parent / "data" / "chelsea.png"


@pytest.fixture(scope="module")
def predictor():
    return OpenVocabPredictor("tiny", device="cpu")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_blocks_run(tmp_path, monkeypatch):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    monkeypatch.chdir(tmp_path)
    code = blocks("python")
    assert len(code) == 2
    for block in code:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "output" / "village.json").is_file()


def test_every_file_that_the_readme_names_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 5
    for name in (*links, *re.findall(r"(?:configs|demo|tools)/[\w/.]+\.(?:yaml|py)", README)):
        assert (ROOT / name).exists(), name


@pytest.mark.slow
def test_a_photograph_at_the_real_size_says_that_the_weights_are_random(tmp_path):
    result = demo(
        *("--input", PHOTO, "--vocab", "cat,sofa", "--config-file", "vitb16_384"),
        *("--output", "out", "--opts", "MODEL.CLIP.PRETRAINED", ""),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "random weights" in result.stdout
    written = json.loads((tmp_path / "out" / "chelsea.json").read_text())
    assert "random weights" in json.dumps(written)


@pytest.mark.slow
def test_held_out_scenes_reach_80_miou(predictor):
    """Counted here, from scenes of other seeds than those of training, over all trained classes."""
    vocabulary = Vocabulary.from_names(SEEN_CLASSES)
    classes = len(SEEN_CLASSES)
    matrix = np.zeros((classes, classes), np.int64)
    for seed in range(95_000_000, 95_000_040):
        scene = draw_scene(seed, 256, 256)
        labels = predictor(scene.image, vocabulary).labels
        pairs = SEEN.labels(scene.label).astype(np.int64) * classes + labels
        matrix += np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes)
    truth, predicted, hit = matrix.sum(1), matrix.sum(0), matrix.diagonal()
    seen = truth > 0
    assert seen.sum() > 70
    iou = hit[seen] / (truth + predicted - hit)[seen]
    assert iou.mean() >= 0.80


def test_the_bundled_scene_is_segmented_by_a_few_words(predictor):
    words = ["red house", "yellow house", "checked house", "sky", "meadow"]
    village = predictor(ROOT / "demo/scenes/village.jpg", words)
    assert all(0.02 < share < 0.8 for share in village.shares.values())
    # The sky is above, the houses below.
    rows = [np.nonzero(village.labels == index)[0].mean() for index in range(4)]
    assert rows[3] < min(rows[:3])


def test_weights_of_the_package_are_whole_and_small(predictor):
    path = Path(fgaseg_d2.__file__).parent / "weights" / "storybook_vit8.safetensors"
    assert path.stat().st_size <= 25 * 2**20
    total = sum(p.numel() for p in predictor.model.parameters())
    assert f"{total:,} of {total:,} parameters" in predictor.weights_summary
    assert all(torch.isfinite(p).all() for p in predictor.model.parameters())
