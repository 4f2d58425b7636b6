"""Configurations are found by name, read without running anything, and errors are one line."""

import pytest
import torch
from detectron2.config import get_cfg

from fgaseg_d2 import add_fgaseg_config
from fgaseg_d2.config.loading import config_folder, find_config, load_config


@pytest.mark.parametrize("name", ["tiny", "fgaseg/tiny", "tiny.yaml", "vitb16_384"])
def test_bundled_configurations_are_found(name):
    path = find_config(name)
    assert path.is_file()
    assert config_folder() in path.parents


def test_same_result_as_detectron2():
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    cfg.merge_from_file(str(find_config("tiny")))
    cfg.merge_from_list(["SOLVER.MAX_ITER", "7", "DATASETS.TEST", "('a', 'b')"])
    loaded = load_config(
        "tiny", ["SOLVER.MAX_ITER", "7", "DATASETS.TEST", "('a', 'b')"], device="cpu"
    )
    assert loaded.is_frozen()
    cfg.MODEL.DEVICE = "cpu"
    assert loaded == cfg


def test_values_are_kind_to_numbers_and_text():
    opts = ["SOLVER.BASE_LR", "1", "MODEL.FGASEG.VOCABULARY", "42", "INPUT.MIN_SIZE_TEST", 96]
    cfg = load_config("tiny", opts)
    assert cfg.SOLVER.BASE_LR == 1.0
    assert isinstance(cfg.SOLVER.BASE_LR, float)
    assert cfg.MODEL.FGASEG.VOCABULARY == "42"
    assert cfg.INPUT.MIN_SIZE_TEST == 96


def test_a_configuration_is_copied():
    first = load_config("tiny")
    second = load_config(first, ["SOLVER.MAX_ITER", 3], weights="")
    assert second.SOLVER.MAX_ITER == 3
    assert first.SOLVER.MAX_ITER != 3


def test_device_falls_back_to_the_cpu_unless_asked_for():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert expected == load_config("tiny").MODEL.DEVICE
    assert load_config("tiny", device=torch.device("cpu")).MODEL.DEVICE == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="this machine has"):
            load_config("tiny", ["MODEL.DEVICE", "cuda"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"opts": ["MODEL.WEIGTHS", "a"]}, "unknown configuration key MODEL.WEIGTHS; did you mean"),
        ({"opts": ["MODEL", "a"]}, "MODEL to be a section"),
        ({"opts": ["SOLVER.MAX_ITER"]}, "pairs"),
        ({"opts": ["SOLVER.MAX_ITER", "many"]}, "of type int"),
        ({"opts": ["DATASETS.TRAIN", "coco"]}, "of type tuple"),
        ({"device": "gpu"}, "a device that this machine has"),
        ({"device": "cuda:99"}, "a device that this machine has"),
    ],
)
def test_wrong_values(arguments, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        load_config("tiny", **arguments)
    assert "\n" not in str(caught.value)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="did you mean 'tiny'"):
        find_config("tinny")
    with pytest.raises(FileNotFoundError, match=r"names are .*catseg_vitb16"):
        find_config(tmp_path / "qqqq.yaml")


def test_missing_weights_are_found_early(tmp_path):
    missing = str(tmp_path / "none.pth")
    file = tmp_path / "own.yaml"
    file.write_text(f"MODEL:\n  WEIGHTS: {missing}\n")
    given = load_config(file, weights="")
    for config, options in (
        ("tiny", {"weights": missing}),
        ("tiny", {"weights": tmp_path / "none.pth"}),
        ("tiny", {"opts": ["MODEL.WEIGHTS", missing]}),
        (given, {"opts": ["MODEL.WEIGHTS", missing]}),
        (file, {}),
    ):
        with pytest.raises(FileNotFoundError, match="a file with weights at .*none.pth") as caught:
            load_config(config, **options)
        assert "\n" not in str(caught.value)
    # Only what is used in the end is looked for.
    assert load_config(file, ["MODEL.WEIGHTS", ""]).MODEL.WEIGHTS == ""


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model.pth").touch()
    opts = [
        *("MODEL.WEIGHTS", "~/model.pth", "MODEL.CLIP.PRETRAINED", "~/clip.pt"),
        *("MODEL.CLIP.NAME", "~/clip.json", "MODEL.FGASEG.PROMPT_TEMPLATES", "~/templates.txt"),
    ]
    model = load_config("tiny", opts).MODEL
    assert str(tmp_path / "model.pth") == model.WEIGHTS
    assert str(tmp_path / "clip.pt") == model.CLIP.PRETRAINED
    assert str(tmp_path / "clip.json") == model.CLIP.NAME
    assert str(tmp_path / "templates.txt") == model.FGASEG.PROMPT_TEMPLATES
    assert str(tmp_path / "model.pth") == load_config("tiny", weights="~/model.pth").MODEL.WEIGHTS
    kept = load_config("tiny", ["MODEL.FGASEG.PROMPT_TEMPLATES", "~ {} ~"], weights="").MODEL
    assert kept.FGASEG.PROMPT_TEMPLATES == "~ {} ~"


def test_configuration_without_our_keys_is_refused():
    with pytest.raises(ValueError, match=r"call add_fgaseg_config\(cfg\) first") as caught:
        load_config(get_cfg())
    assert "\n" not in str(caught.value)


def test_yaml_runs_nothing(tmp_path):
    file = tmp_path / "evil.yaml"
    file.write_text(f"MODEL: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(ValueError, match="plain YAML"):
        load_config(file)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("MODEL: [1", "plain YAML"),
        ("", "sections"),
        ("- a", "sections"),
        ("MODEL: 5", "section of keys"),
        ("MODEL:\n  WEIGHT: a", "did you mean MODEL.WEIGHTS"),
        ("VERSION: 1", "version 2"),
        ("_BASE_: self.yaml", "circle"),
    ],
)
def test_bad_yaml(tmp_path, content, reason):
    file = tmp_path / "self.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=reason) as caught:
        load_config(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_missing_base(tmp_path):
    (tmp_path / "a.yaml").write_text("_BASE_: none.yaml")
    with pytest.raises(FileNotFoundError, match=r"_BASE_ at .*none\.yaml"):
        load_config(tmp_path / "a.yaml")
