"""Wherever a path enters, ``~`` is the home folder: the list of these places."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog
from PIL import Image

from fgaseg_d2 import OpenVocabPredictor, Vocabulary
from fgaseg_d2.checkpoint.checkpointer import FGASegCheckpointer
from fgaseg_d2.config.loading import find_config, load_config
from fgaseg_d2.data import register_benchmarks, register_folders, register_storybook
from fgaseg_d2.data.datasets.catalog import datasets_root
from fgaseg_d2.engine.imports import import_user_module
from fgaseg_d2.evaluation.predictions import read_index
from fgaseg_d2.evaluation.truth import read_unseen_classes
from fgaseg_d2.modeling.text.cache import TextCache
from fgaseg_d2.modeling.text.templates import resolve_templates
from fgaseg_d2.modeling.towers.loading import load_clip
from fgaseg_d2.storybook.dataset import split_folder
from tests.conftest import ROOT, build_small, config, tool
from tests.engine import training

# Of each program the arguments that are paths: where their values end up, and what is given.
PROGRAMS = {
    "benchmark": {"json": ["--json", "~/a.json"], "plot": ["--plot", "~/a.png"]},
    "check_parity": {"folder": ["~/a"]},
    "check_segments": {"files": ["~/a.jsonl"], "images": ["b", "--images", "~/a"]},
    "check_shards": {"list": ["b", "--list", "~/a.txt"]},
    "convert_checkpoint": {"input": ["~/a.pth", "b"], "output": ["b", "~/a.pth"]},
    "evaluate_predictions": {
        "folder": ["~/a"],
        "truth": ["b", "--truth", "~/a"],
        "output": ["b", "--output", "~/a"],
    },
    "install_detectron2": {"constraint": ["-c", "~/a.txt"]},
    "make_segments": {
        "file": ["~/a.jsonl", "--coco", "b"],
        "coco": ["b", "--coco", "~/a.json"],
        "images": ["b", "--coco", "c", "--images", "~/a"],
    },
    "make_storybook": {"root": ["--root", "~/a"], "output": ["--output", "~/a.png"]},
    "prepare_datasets": {"root": ["all", "--root", "~/a"]},
    "run_study": {
        "output": ["kernel", "--output", "~/a"],
        "weights": ["kernel", "--weights", "~/a.pth"],
    },
    "view_predictions": {
        "predictions": ["~/a"],
        "output": ["a", "--output", "~/a.html"],
        "sheet": ["a", "--sheet", "~/a.png"],
    },
    "write_config": {"file": ["a", "~/a.yaml"]},
    "demo": {"output": ["--input", "a", "--output", "~/a"]},
}
# Arguments that are paths and go as they are to a function that is tested below.
PASSED_ON = {
    *("config", "config_file", "imports", "input", "vocab", "background", "weights", "classes"),
    *("unseen_classes", "studies", "opts", "names"),
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder with everything in it, and another folder to work in, which stays empty."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "home"
    assert list((tmp_path / "work").iterdir()) == []


def parser_of(program, monkeypatch):
    if program == "demo":
        monkeypatch.syspath_prepend(str(ROOT / "demo"))
    module = tool(program)
    return getattr(module, "build_parser", None) or module.argument_parser


@pytest.mark.parametrize(
    ("program", "name"), [(program, name) for program in PROGRAMS for name in PROGRAMS[program]]
)
def test_arguments_of_programs(program, name, home, monkeypatch):
    options = parser_of(program, monkeypatch)().parse_args(PROGRAMS[program][name])
    value = getattr(options, name)
    value = value[0] if isinstance(value, list) else value
    assert str(value).startswith(f"{home}/a")


@pytest.mark.parametrize("program", sorted(path.stem for path in (ROOT / "tools").glob("*.py")))
def test_no_argument_that_is_a_path_is_forgotten(program, monkeypatch):
    """By what its help calls it: a file, a folder."""
    if program in ("command_line", "try_bad_inputs"):
        return
    parser = parser_of(program, monkeypatch)()
    words = ("FILE", "DIR", "FOLDER", "PATH", "IN", "OUT")
    for action in parser._actions:
        called = action.metavar in words or "Path" in str(getattr(action.type, "__name__", ""))
        if called or action.type is tool("command_line").path:
            assert action.dest in {*PROGRAMS.get(program, ()), *PASSED_ON}, action


def test_datasets_of_an_environment_variable(home, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", "~/sets")
    assert datasets_root() == home / "sets" and datasets_root("~/b") == home / "b"
    assert split_folder("~/b", "val") == home / "b" / "storybook" / "val"
    assert parser_of("make_storybook", monkeypatch)().parse_args([]).root == home / "sets"
    try:
        register_storybook("~/c")
        register_benchmarks("~/c")
        assert MetadataCatalog.get("storybook_val").image_root.startswith(f"{home}/c")
    finally:
        monkeypatch.delenv("DETECTRON2_DATASETS")
        register_storybook()
        register_benchmarks()


def test_caches(home, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", "~/cache")
    assert TextCache(1).folder == home / "cache" / "fgaseg_d2" / "text"


def test_datasets_of_ones_own(home):
    for folder in ("images", "labels"):
        (home / folder).mkdir()
    (home / "words.txt").write_text("cat\ndog\n")
    register_folders("own_paths", "~/images", "~/labels", "~/words.txt")
    metadata = MetadataCatalog.get("own_paths")
    assert metadata.image_root == str(home / "images")
    assert metadata.sem_seg_root == str(home / "labels")
    assert list(metadata.stuff_classes) == ["cat", "dog"]


def test_keys_of_a_configuration(home):
    for name in ("model.pth", "own.yaml"):
        (home / name).touch()
    (home / "own.yaml").write_text(
        "_BASE_: ~/base.yaml\nOUTPUT_DIR: ~/out\nMODEL: {WEIGHTS: ~/model.pth}\n"
    )
    (home / "base.yaml").write_text(
        "MODEL:\n  CLIP: {NAME: ~/clip.json, PRETRAINED: ~/clip.pt}\n"
        "  FGASEG: {PROMPT_TEMPLATES: ~/templates.txt}\n"
    )
    assert find_config("~/own.yaml") == home / "own.yaml"
    for config_file in ("~/own.yaml", Path("~/own.yaml")):
        cfg = load_config(config_file)
        found = (
            *(cfg.OUTPUT_DIR, cfg.MODEL.WEIGHTS, cfg.MODEL.CLIP.NAME, cfg.MODEL.CLIP.PRETRAINED),
            cfg.MODEL.FGASEG.PROMPT_TEMPLATES,
        )
        names = ("out", "model.pth", "clip.json", "clip.pt", "templates.txt")
        assert found == tuple(str(home / name) for name in names)
    changed = load_config("tiny", ["OUTPUT_DIR", "~/b"], weights=Path("~/model.pth"))
    assert (f"{home}/b", f"{home}/model.pth") == (changed.OUTPUT_DIR, changed.MODEL.WEIGHTS)


def test_a_configuration_of_detectron2s_own(home, tmp_path):
    """The trainer writes into the home folder, and the model reads there."""
    (home / "templates.txt").write_text("a {}\n")
    training.register_blocks(tmp_path)
    cfg = training.training_config(
        *(tmp_path, "MODEL.FGASEG.PROMPT_TEMPLATES", "~/templates.txt", "SOLVER.MAX_ITER", 1),
    )
    cfg.OUTPUT_DIR = "~/trained"
    training.train(cfg)
    assert (home / "trained" / "model_final.pth").is_file()


def test_files_that_the_model_reads(monkeypatch):
    # open_clip looks for a configuration again and again, under other users of this process too.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("HOME", folder)
        _read_by_the_model(Path(folder))


def _read_by_the_model(home):
    model = build_small()
    torch.save({"model": model.state_dict()}, home / "model.pth")
    (home / "templates.txt").write_text("a {}\n")
    clip = (ROOT / "tests/data/clip/Small-ViT-8.json").read_text()
    (home / "Home-ViT-8.json").write_text(clip)
    assert load_clip("~/Home-ViT-8.json", "") is not None
    FGASegCheckpointer(model).load("~/model.pth")
    assert resolve_templates("~/templates.txt") == ("a {}",)
    with pytest.raises(OSError, match=r"in /[^~]*/broken\.pt, but: expected a checkpoint"):
        (home / "broken.pt").write_bytes(b"no checkpoint")
        load_clip("~/Home-ViT-8.json", "~/broken.pt")


def test_words(home):
    (home / "words.txt").write_text("cat\ndog\n")
    assert Vocabulary.coerce("~/words.txt").class_names == ("cat", "dog")
    assert Vocabulary.coerce(Path("~/words.txt")).class_names == ("cat", "dog")
    assert read_unseen_classes("~/words.txt") == ("cat", "dog")


def test_the_predictor(home):
    picture = np.zeros((20, 30, 3), np.uint8)
    Image.fromarray(picture).save(home / "scene.png")
    cfg = config("tests/data/small.yaml")
    torch.save({"model": build_small().state_dict()}, home / "model.pth")
    predictor = OpenVocabPredictor(cfg, weights="~/model.pth")
    for image in ("~/scene.png", Path("~/scene.png")):
        found = predictor(image, "cat,dog").save("~/results", "scene")
        assert found["json"] == home / "results" / "scene.json" and found["json"].is_file()


def test_modules_and_saved_predictions(home):
    (home / "mine.py").write_text("NAME = 'mine'\n")
    assert import_user_module("~/mine.py").NAME == "mine"
    (home / "predictions.json").write_text("[]")
    with pytest.raises(ValueError, match=f"^{home}/predictions.json: expected the index"):
        read_index("~")
