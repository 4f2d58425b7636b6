"""docs/OWN_DATASET.md and the README's short form, run as they stand on a drawn dataset."""

import json
import re
import runpy
import shlex
import subprocess
import sys

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

import train_net
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.labels import read_label
from fgaseg_d2.engine.setup import check_datasets
from fgaseg_d2.storybook import draw_scene
from fgaseg_d2_cli import __main__ as console
from tests.conftest import ROOT

TUTORIAL = (ROOT / "docs" / "OWN_DATASET.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
# What keeps the tests short: fewer steps, and pictures of a quarter of the size.
SMALL = """
MODEL:
  CLIP:
    IMAGE_SIZE: [96, 96]
INPUT:
  MIN_SIZE_TRAIN: (96,)
  CROP:
    SIZE: [96, 96]
"""
SHORT = ["SOLVER.MAX_ITER", "2", "SOLVER.IMS_PER_BATCH", "1", "DATALOADER.NUM_WORKERS", "0"]


def blocks(text, language):
    """Code of one language, its lines joined where they continue."""
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return [block.replace("\\\n", " ") for block in found]


def commands(text, *words):
    """Command lines that have all of these words."""
    lines = [line for block in blocks(text, "bash") for line in block.splitlines()]
    return [line for line in lines if all(word in line for word in words)]


def run(monkeypatch, line, *more):
    """Run a command, or a Python program of the repository, in this process as its line says."""
    python, program, *arguments = shlex.split(line)
    if python == "fgaseg-d2":
        assert console.main([program, *arguments, *more]) == 0, line
        return
    assert python == "python"
    monkeypatch.setattr(sys, "argv", [program, *arguments, *more])
    monkeypatch.syspath_prepend(str(ROOT / program).rpartition("/")[0])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(program, run_name="__main__")
    assert stop.value.code == 0, line


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_pets(folder):
    """Grey and coloured pictures of odd sizes, labels with and without a palette, "rex" in both."""
    (folder / "pets").mkdir()
    for number, stem in enumerate(("rex", "tom", "minka")):
        for split in ("train", "val"):
            scene = draw_scene(number, 61 + 7 * number, 90 - 9 * number)
            picture = scene.image.mean(-1).astype(np.uint8) if number == 1 else scene.image
            write(folder / f"pets/images/{split}/{stem}.jpg", picture)
            label = Image.fromarray(scene.label % 3)
            if number == 2:
                label.putpalette([9, 9, 9, 250, 0, 0, 0, 0, 250])
            path = folder / f"pets/labels/{split}/{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            label.save(path)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """What the tutorial begins with: a clone, and the two folders with the list of words."""
    for name in ("configs", "demo", "tools", "train_net.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    write_pets(tmp_path)
    (words,) = blocks(TUTORIAL, "text")
    (tmp_path / "pets" / "classes.txt").write_text(words)
    (tmp_path / "pets.yaml").write_text(blocks(TUTORIAL, "yaml")[0] + SMALL)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for catalog in (DatasetCatalog, MetadataCatalog):
        for name in ("pets_train", "pets_val", "pets_captions"):
            if name in catalog.list():
                catalog.remove(name)


def test_every_program_of_the_tutorial_is_tested_here():
    programs = {line.split()[1] for line in commands(TUTORIAL, "python")}
    # What looks at shards has its own tests.
    assert programs == {"train_net.py", "tools/check_shards.py"}
    assert {line.split()[1] for line in commands(TUTORIAL, "fgaseg-d2")} == {
        *("check", "view", "segment"),
    }
    assert len(commands(TUTORIAL, "python train_net.py")) == 6


def test_from_two_folders_to_words_on_a_picture(clone, monkeypatch, capsys):
    """Check, train, evaluate before and after, look, use: the lines of the tutorial in turn."""
    (check,) = commands(TUTORIAL, "fgaseg-d2 check")
    run(monkeypatch, check)
    report = capsys.readouterr().out
    assert "pets_val: 3 pictures, 3 classes" in report and "cat" in report

    (train,) = commands(TUTORIAL, "train_net.py", "pets.yaml", "SOLVER.MAX_ITER")
    run(monkeypatch, train, *SHORT)
    assert (clone / "output/pets/model_final.pth").is_file()

    before, after = commands(TUTORIAL, "--eval-only")
    run(monkeypatch, before)
    run(monkeypatch, after)
    for folder in ("pets_before", "pets_after"):
        results = json.loads((clone / "output" / folder / "results.json").read_text())
        assert {"IoU-floor", "IoU-cat", "IoU-dog"} <= results["pets_val"].keys()

    (view,) = commands(TUTORIAL, "fgaseg-d2 view")
    run(monkeypatch, view)
    assert (clone / "output/pets_after/inference/pets_val/view.html").stat().st_size > 10_000

    (demo,) = commands(TUTORIAL, "fgaseg-d2 segment")
    run(monkeypatch, demo)
    assert len(list((clone / "output/pets_demo").glob("*_overlay.*"))) == 3
    shares = json.loads((clone / "output/pets_demo/rex.json").read_text())["shares"]
    assert list(shares) == ["cat", "dog", "floor", "red ball"]

    monkeypatch.setattr(sys, "argv", [""])
    register, predict = blocks(TUTORIAL, "python")[:2]
    exec(compile(register, "OWN_DATASET.md", "exec"), {})
    assert MetadataCatalog.get("pets_val").stuff_classes == ["floor", "cat", "dog"]
    exec(compile(predict, "OWN_DATASET.md", "exec"), {})


def test_the_short_form_of_the_readme(clone, monkeypatch):
    (clone / "pets.yaml").write_text(blocks(README, "yaml")[0] + SMALL)
    train, evaluate = commands(README, "train_net.py", "pets.yaml")
    run(monkeypatch, train, *SHORT)
    run(monkeypatch, evaluate)
    results = json.loads((clone / "output/pets_eval/results.json").read_text())
    assert "mIoU" in results["pets_val"]


def test_commands_at_the_real_size_are_sound(clone):
    """Read as train_net.py reads them, up to the point where weights are fetched."""
    (copy,) = commands(TUTORIAL, "sed ")
    subprocess.run(copy, shell=True, check=True)
    lines = commands(TUTORIAL, "train_net.py", "pets_vitb16.yaml")
    assert len(lines) == 2
    for line, weights in zip(lines, ("", "https://"), strict=True):
        args = train_net.build_parser().parse_intermixed_args(shlex.split(line)[2:])
        cfg = load_config(args.config_file, args.opts)
        register_configured(cfg)
        check_datasets(cfg, eval_only=False)
        assert cfg.MODEL.CLIP.NAME == "ViT-B-16-quickgelu" and cfg.DATASETS.TEST == ("pets_val",)
        assert cfg.MODEL.WEIGHTS.startswith(weights) and bool(cfg.MODEL.WEIGHTS) == bool(weights)


def test_the_list_of_folders_on_a_command_line(clone):
    (form,) = re.findall(r"`DATASETS.FOLDERS \"(\[.*?)\"`", TUTORIAL)
    item = form.replace("...", "'images': 'i', 'labels': 'l', 'vocabulary': 'cat,dog'")
    cfg = load_config("tiny", ["DATASETS.FOLDERS", item])
    register_configured(cfg)
    assert MetadataCatalog.get("pets_val").stuff_classes == ["cat", "dog"]


def test_pictures_with_captions(clone, monkeypatch, capsys):
    """The table, the entry of the configuration, and the training of a CLIP."""
    (table,) = blocks(TUTORIAL, "csv")
    (clone / "pets" / "captions.csv").write_text(table)
    entry = blocks(TUTORIAL, "yaml")[1]
    (clone / "captions.yaml").write_text(f"_BASE_: configs/fgaseg/tiny_contrastive.yaml\n{entry}")
    run(monkeypatch, "fgaseg-d2 check captions.yaml")
    assert "pets_captions: 2 pictures, 3 captions" in capsys.readouterr().out
    (train,) = commands(TUTORIAL, "tiny_contrastive")
    run(monkeypatch, train, *SHORT)
    assert (clone / "output/pets_clip/model_final.pth").is_file()


def test_labels_of_another_kind(clone):
    """The two snippets make the labels that the tutorial asks for."""
    from_one, in_color = blocks(TUTORIAL, "python")[2:]
    write(clone / "pets/labels_from_1/val/one.png", np.array([[0, 1], [2, 3]], np.uint8))
    exec(compile(from_one, "OWN_DATASET.md", "exec"), {})
    assert read_label(str(clone / "pets/labels/val/one.png")).tolist() == [[255, 0], [1, 2]]
    colors = np.array([[[128] * 3, [255, 0, 0]], [[0, 0, 255], [1, 2, 3]]], np.uint8)
    write(clone / "pets/labels_in_colour/val/two.png", colors)
    exec(compile(in_color, "OWN_DATASET.md", "exec"), {})
    assert read_label(str(clone / "pets/labels/val/two.png")).tolist() == [[0, 1], [2, 255]]
