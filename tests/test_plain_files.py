"""JSON and YAML within bounds: no file makes a program hang or break off."""

from pathlib import Path

import pytest
import yaml
from parity.manifest import read_manifest
from studies.definition import load_study
from studies.settings import read_settings

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data.preparation.context_json import ContextJson
from fgaseg_d2.evaluation.predictions import read_index
from fgaseg_d2.io.json_files import parse_json
from fgaseg_d2.io.nesting import MAX_DEPTH, check_depth
from fgaseg_d2.io.yaml_files import parse_yaml, read_yaml
from fgaseg_d2.modeling.towers.loading import load_clip
from fgaseg_d2.storybook.dataset import INFO_NAME, Settings
from fgaseg_d2.wording import in_one_line, shown
from tests.conftest import ROOT

ALIASES = "".join(f"b{i}: &b{i} [*b{i - 1}, *b{i - 1}]\n" for i in range(1, 30))
MERGES = "".join(
    f"b{i}: &b{i}\n  <<: [{', '.join([f'*b{i - 1}'] * 9)}]\n  k{i}: 1\n" for i in range(1, 12)
)
BOMBS = {
    "merge keys": (f"b0: &b0 {{x: 1, y: 2}}\n{MERGES}", "at most 100000 values"),
    "aliases": (f"b0: &b0 [x, y]\n{ALIASES}", "at most 100000 values"),
    "one long list": ("- x\n" * 200_000, "at most 100000 values"),
    "brackets": ("[" * 100_000, "at most 64 levels"),
    "braces": ("{a: " * 5000, "at most 64 levels"),
    "indented lists": ("- " * 5000, "at most 64 levels"),
    "a chain of aliases": (
        "b0: &b0 [x]\n" + "".join(f"b{i}: &b{i} [*b{i - 1}]\n" for i in range(1, 2000)),
        "at most 64 levels",
    ),
    "an alias in itself": ("a: &a [1, *a]", "alias in line 1 that contains itself"),
    "a section in itself": ("x: 1\na: &a {b: *a}", "alias in line 2 that contains itself"),
    "a merge of itself": ("a: &a\n  <<: *a\n", "alias in line 1 that contains itself"),
    "megabytes": ("# " + "x" * 2**20, "at most 1048576 characters"),
}
NOT_YAML = {
    "a tag of Python": ("a: !!python/object/apply:os.getcwd []", "plain YAML"),
    "two documents": ("a: 1\n---\nb: 2", "plain YAML"),
    "a date of month 99": ("a: 2001-99-99", "plain YAML"),
    "a flag that is none": ("a: !!bool maybe", "plain YAML"),
    "thousands of digits": ("a: " + "9" * 10_000, "plain YAML"),
    "a null character": ("a: \x00", "plain YAML"),
    "a key that is a list": ("? [1, 2]\n: 3", "plain YAML"),
    "a key twice": ("a: 1\nb: 2\na: 3", "'a' again in line 3"),
}


def one_line(error, limit=400):
    text = str(error)
    return "\n" not in text and len(text) <= limit


@pytest.mark.parametrize("name", [*BOMBS, *NOT_YAML])
def test_yaml_that_is_refused(name):
    text, reason = (BOMBS | NOT_YAML)[name]
    with pytest.raises(ValueError, match=reason) as caught:
        parse_yaml(text)
    assert one_line(caught.value)


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("base", [False, True])
def test_every_yaml_that_is_read_is_bounded(name, base, tmp_path):
    text, reason = BOMBS[name]
    file, study = tmp_path / "own.yaml", tmp_path / "study.yaml"
    study.write_text(text)
    if base:
        file.write_text("_BASE_: study.yaml\n")
    else:
        file.write_text(text)
    for read in (load_config, load_study) if not base else (load_config,):
        with pytest.raises(ValueError, match=reason) as caught:
            read(str(file) if read is load_study else file)
        assert str(tmp_path) in str(caught.value) and one_line(caught.value)


def test_plain_yaml_is_what_pyyaml_makes_of_it():
    files = [*ROOT.glob("configs/**/*.yaml"), *ROOT.glob("tests/data/*.yaml")]
    assert len(files) > 20
    for file in files:
        assert read_yaml(file) == yaml.safe_load(file.read_text(encoding="utf-8")), file
    text = "a: &a {x: 1, y: [1, 2.5, null, yes]}\nb: {<<: *a, x: 'two'}\nc: *a\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("") is None


def test_levels_up_to_the_bound_are_read():
    assert parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert parse_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for parse in (parse_json, parse_yaml):
        with pytest.raises(ValueError, match="at most 64 levels"):
            parse("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 70 + "]" * 70])
def test_json_of_brackets(text):
    with pytest.raises(ValueError, match="JSON of at most 64 levels"):
        parse_json(text)


READERS = {
    "predictions.json": lambda path: read_index(path.parent),
    "manifest_a.json": read_manifest,
    "runs/settings.json": lambda path: read_settings(path.parent.parent),
    "Own-ViT.json": lambda path: load_clip(str(path), ""),
    "trainval.json": ContextJson,
    INFO_NAME: lambda path: Settings.read(path.parent),
}


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 70 + "]" * 70])
@pytest.mark.parametrize("name", READERS)
def test_readers_of_json_refuse_brackets_in_one_line(name, text, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ValueError, match="64 levels") as caught:
        READERS[name](path)
    assert path.name in str(caught.value) and one_line(caught.value, 600)


@pytest.mark.parametrize("text", ["[]", "{}", '{"embed_dim": 8}', "{"])
def test_a_clip_of_ones_own_that_open_clip_would_pass_over(text, tmp_path):
    (tmp_path / "Own-ViT.json").write_text(text)
    with pytest.raises(
        ValueError, match="Own-ViT.json: expected an open_clip model conf"
    ) as caught:
        load_clip(str(tmp_path / "Own-ViT.json"), "")
    assert one_line(caught.value)


def test_values_of_a_caller_are_bounded():
    endless: list = []
    endless.append(endless)
    for value in (endless, {"a": endless}, [endless] * 3):
        with pytest.raises(ValueError, match="levels"):
            check_depth(value, "a list", 1000)
    wide: list = [1] * 10
    for _ in range(10):
        wide = [wide] * 10
    with pytest.raises(ValueError, match="at most 1000 values"):
        check_depth(wide, "a list", 1000)


@pytest.mark.parametrize("value", ["[" * 100_000, "-" * 100_000 + "1", "x" * 2**21, "(" * 300])
@pytest.mark.parametrize("key", ["SOLVER.MAX_ITER", "INPUT.CROP.SIZE", "MODEL.CLIP.NAME"])
def test_values_of_a_command_line_are_bounded(key, value):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_config("tiny", [key, value, "MODEL.CLIP.IMAGE_SIZE", [0, 0]])
    assert one_line(caught.value)


def test_values_given_by_a_program_are_bounded():
    endless: list = []
    endless.append(endless)
    for key in ("INPUT.CROP.SIZE", "DATASETS.FOLDERS", "SOLVER.MAX_ITER"):
        with pytest.raises(ValueError, match=f"{key} of at most 64 levels"):
            load_config("tiny", [key, endless])


def test_bases_merge_as_detectron2_merges_them_and_share_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("SOLVER: {MAX_ITER: 5, BASE_LR: 0.5}\nSEED: 1\n")
    (tmp_path / "b.yaml").write_text("_BASE_: [a.yaml]\nSOLVER: {MAX_ITER: 6}\n")
    (tmp_path / "c.yaml").write_text(f"_BASE_: {tmp_path}/b.yaml\nSEED: 2\n")
    cfg = load_config(tmp_path / "c.yaml")
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR, cfg.SEED) == (6, 0.5, 2)
    # Two sections that share an alias stay two.
    (tmp_path / "d.yaml").write_text("TEST: {AUG: &x {FLIP: True}}\nINPUT: {CROP: {ENABLED: True}}")
    (tmp_path / "e.yaml").write_text("_BASE_: d.yaml\nTEST: {AUG: {FLIP: False}}\n")
    assert load_config(tmp_path / "e.yaml").TEST.AUG.FLIP is False


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a": "_BASE_: b.yaml", "b": "_BASE_: a.yaml"}, "circle"),
        ({"a": "_BASE_: [b.yaml, ./../{here}/a.yaml]", "b": ""}, "other YAML"),
        ({"a": "_BASE_: 5"}, "_BASE_ to be a path"),
        ({"a": "_BASE_: [[b.yaml]]"}, "_BASE_ to be a path"),
        ({"a": "_BASE_: b.yaml\nMODEL: {WEIGHTS: x}", "b": "MODEL: 5"}, "'MODEL' to be a section"),
        ({"a": "_BASE_: b.yaml", "b": "SEED: 1\nSEED: 2"}, "b.yaml: .*'SEED' again"),
        ({"a": "_BASE_: " + str(["b.yaml"] * 40), "b": "SEED: 1"}, "at most 32 files"),
    ],
)
def test_bases_that_are_refused(files, reason, tmp_path):
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text.replace("{here}", tmp_path.name))
    with pytest.raises(ValueError, match=reason) as caught:
        load_config(tmp_path / "a.yaml")
    assert str(caught.value).startswith(str(tmp_path)) and one_line(caught.value)


@pytest.mark.parametrize("kind", ["folder", "nothing", "pipe"])
def test_a_base_that_is_no_file(kind, tmp_path):
    import os

    base = tmp_path / "base.yaml"
    if kind == "folder":
        base.mkdir()
    elif kind == "pipe":
        os.mkfifo(base)
    (tmp_path / "a.yaml").write_text("_BASE_: base.yaml")
    with pytest.raises(FileNotFoundError, match=r"_BASE_ at '.*base\.yaml', got"):
        load_config(tmp_path / "a.yaml")


def test_what_a_person_gave_is_shortened():
    assert shown("cat") == "'cat'" and shown([1, 2.5, None]) == "[1, 2.5, None]"
    assert shown(Path("a/b")) == "'a/b'"
    endless: list = []
    endless.append(endless)
    for value in ("x" * 10_000, list(range(10_000)), {str(i): i for i in range(999)}, 10**9999):
        assert len(shown(value)) <= 120 and "\n" not in shown(value)
    assert len(shown(endless)) <= 120 and len(shown("a\nb" * 99, 30)) == 30
    text = in_one_line("first\n" + "x" * 1000 + "\nlast")
    assert len(text) == 400 and text.startswith("first x") and text.endswith("x last")
