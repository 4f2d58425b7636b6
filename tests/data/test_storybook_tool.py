"""make_storybook.py, and the hashes that it compares."""

import hashlib
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fgaseg_d2.storybook import (
    PRODUCTS,
    STUFF_CLASSES,
    checksums,
    dataset,
    draw_scene,
    drawing,
    write_dataset,
)
from fgaseg_d2.storybook.classes import ATTRIBUTES
from fgaseg_d2.storybook.vocabularies import GENERALIZED
from tests.conftest import ROOT, tool


def test_hash_is_that_of_the_drawn_pixels(tmp_path):
    write_dataset(tmp_path, "test", 2, height=32, width=48, workers=1)
    expected = hashlib.sha256()
    for index in range(2):
        scene = draw_scene(dataset.scene_seed("test", index), 32, 48, PRODUCTS)
        expected.update(scene.image.tobytes())
        for vocabulary in dataset.SPLITS["test"].vocabularies:
            expected.update(vocabulary.table[scene.label].tobytes())
    assert checksums.pixel_hash(tmp_path, "test") == expected.hexdigest()


def test_verification_finds_a_changed_pixel_and_missing_scenes(tmp_path, monkeypatch):
    monkeypatch.setitem(dataset.SPLITS, "val", replace(dataset.SPLITS["val"], count=2))
    with pytest.raises(ValueError, match="expected 2 scenes in .*, got 0"):
        checksums.verify(tmp_path, "val")
    folder = write_dataset(tmp_path, "val", 2, workers=1)
    found = checksums.pixel_hash(tmp_path, "val")
    monkeypatch.setitem(checksums.PUBLISHED, "val", found)
    assert checksums.verify(tmp_path, "val") == f"val: {found} (as published)"
    path = folder / "labels_seen" / "000001.png"
    label = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    label[3, 4] += 1
    drawing.write_picture(path, label)
    with pytest.raises(ValueError, match=f"expected pixels with SHA-256 {found}"):
        checksums.verify(tmp_path, "val")
    path.unlink()
    with pytest.raises(ValueError, match="expected 2 scenes in .*, got 1"):
        checksums.verify(tmp_path, "val")


def test_the_documentation_has_the_hashes_and_its_code_runs():
    text = (ROOT / "docs" / "STORYBOOK.md").read_text(encoding="utf-8")
    table = dict(re.findall(r"^\| `(\w+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE))
    assert table == checksums.PUBLISHED
    assert set(table) == set(dataset.SPLITS)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code, names)
    shown = {GENERALIZED.classes[index] for index in np.unique(names["labels"])}
    pairs = {"green boat", "striped kite", *(f"{attribute} cat" for attribute in ATTRIBUTES)}
    assert shown - set(STUFF_CLASSES) <= pairs
    assert "green boat" in shown or "striped kite" in shown


@pytest.fixture(scope="module")
def make_storybook():
    return tool("make_storybook")


def test_tool_reports_errors_in_one_line(make_storybook, tmp_path, capsys):
    (tmp_path / "file").touch()
    for arguments, message in (
        (["--root", tmp_path / "new", "--size", "0"], "at least 32 pixels"),
        (["--root", tmp_path / "new", "--size", "1000000000"], "at most 4096 pixels"),
        (["--root", tmp_path / "new", "--test", "99999999"], "expected a count of 1 .. 10000000"),
        (["--scene", "1", "--height", "1000000000"], "at most 4096 pixels, got 1000000000 x 512"),
        (["--scene", "1", "--width", "4097"], "at most 4096 pixels, got 384 x 4097"),
        (["--scene", "1", "--width", "-1"], "at least 32 pixels"),
        (["--root", tmp_path / "file", "--val", "1", "--train", "0"], "file"),
        (["--scene", "1", "--output", tmp_path / "file" / "scene.png"], "file"),
        (["--scene", "1", "--output", tmp_path / "scene.gif"], "scene.gif"),
        (["--scene", "1", "--things", "pink cat", "--output", tmp_path / "x.png"], "'pink cat'"),
    ):
        assert make_storybook.main([str(argument) for argument in arguments]) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error
    assert not (tmp_path / "new").exists()


def test_tool_draws_a_single_scene_of_chosen_things(make_storybook, tmp_path):
    output = tmp_path / "new" / "scene.png"
    size = ["--height", "48", "--width", "64", "--output", str(output)]
    assert make_storybook.main(["--scene", "9", *size]) == 0
    drawn = cv2.imread(str(output))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_scene(9, 48, 64).image)
    assert make_storybook.main(["--scene", "9", *size, "--things", "green boat, purple kite"]) == 0
    chosen = [product for product in PRODUCTS if product.name in ("green boat", "purple kite")]
    drawn = cv2.imread(str(output))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_scene(9, 48, 64, chosen).image)


def test_tool_makes_and_verifies_splits(make_storybook, tmp_path, capsys):
    options = ["--root", str(tmp_path), "--train", "0", "--val", "2", "--test", "1", "--verify"]
    options += ["--generalized-val", "0"]
    assert make_storybook.main([*options, "--size", "32", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for split, line in zip(("val", "test"), lines, strict=True):
        assert line.startswith(f"{split}: {checksums.pixel_hash(tmp_path, split)} (Settings")
    assert not (tmp_path / "storybook" / "train").exists()


def test_tool_makes_the_published_counts(make_storybook):
    options = make_storybook.build_parser().parse_args([])
    few_need = {"transductive", "captions_train", "captions_val"}
    for split, shape in dataset.SPLITS.items():
        assert getattr(options, split) == (0 if split in few_need else shape.count)
