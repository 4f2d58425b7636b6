"""Keys of 0.1 under their old names, however they are set."""

import logging

import pytest
import yaml
from detectron2.config import get_cfg

from fgaseg_d2 import add_fgaseg_config
from fgaseg_d2.config import load_config
from fgaseg_d2.config.checks import check_values
from fgaseg_d2.config.renamed_keys import BUNDLED, NEW_NAMES, OLD_NAMES, setting
from fgaseg_d2.config.values import value_of
from fgaseg_d2.engine.optimizer import parameter_groups
from fgaseg_d2.wording import warn_once
from tests.conftest import ROOT, build_small
from tests.engine.toy import Toy

VALUES = {
    "MODEL.FGASEG.VOCABULARY": "cat,dog",
    "MODEL.FGASEG.PROMPT_TEMPLATES": "a drawing of a {}",
    "TEST.UNSEEN_CLASSES": "cat",
    "SOLVER.CLIP_MULTIPLIER": 0.4,
}


def defaults():
    cfg = get_cfg()
    add_fgaseg_config(cfg)
    return cfg


def put(cfg, key, value):
    node, _, name = key.rpartition(".")
    setattr(value_of(cfg, node), name, value)


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def by_attribute(key, value, folder):
    cfg = defaults()
    put(cfg, key, value)
    return cfg


def by_list(key, value, folder):
    cfg = defaults()
    cfg.merge_from_list([key, value])
    return cfg


def by_file(key, value, folder):
    (folder / "own.yaml").write_text(yaml.safe_dump(nested(key, value)))
    cfg = defaults()
    cfg.merge_from_file(str(folder / "own.yaml"))
    return cfg


def by_our_file(key, value, folder):
    by_file(key, value, folder)
    return load_config(folder / "own.yaml")


def by_our_list(key, value, folder):
    return load_config("base", [key, value])


def by_dump(key, value, folder):
    """What a run of 0.1 left behind: every key of that time, none of today's names."""
    cfg = defaults()
    put(cfg, key, value)
    del cfg.MODEL["WORDS"], cfg.MODEL["SCORES"], cfg.SOLVER["LR_MULTIPLIERS"]
    del cfg.DATASETS["UNSEEN"]
    (folder / "config.yaml").write_text(cfg.dump())
    return load_config(folder / "config.yaml")


WAYS = [by_attribute, by_list, by_file, by_our_file, by_our_list, by_dump]


def test_every_old_name_is_asked_for():
    assert set(VALUES) == set(NEW_NAMES)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("key", VALUES)
def test_an_old_name_still_counts_and_says_the_new_one(key, way, tmp_path, caplog):
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        cfg = way(key, VALUES[key], tmp_path)
        check_values(cfg)
        assert setting(cfg, NEW_NAMES[key]) == VALUES[key]
    told = [text for text in caplog.messages if f"{key} is now {NEW_NAMES[key]}" in text]
    assert len(told) == 1


@pytest.mark.parametrize("key", VALUES)
def test_the_new_name_alone_says_nothing(key, caplog):
    cfg = defaults()
    put(cfg, NEW_NAMES[key], VALUES[key])
    with caplog.at_level(logging.WARNING):
        assert setting(cfg, NEW_NAMES[key]) == VALUES[key]
    assert caplog.messages == []


@pytest.mark.parametrize("key", VALUES)
def test_two_values_are_an_error_of_one_line(key):
    cfg = defaults()
    put(cfg, key, VALUES[key])
    put(cfg, NEW_NAMES[key], VALUES[key] * 2)
    with pytest.raises(ValueError, match=f"expected {NEW_NAMES[key]} alone, got .* {key}") as found:
        check_values(cfg)
    assert "\n" not in str(found.value)
    put(cfg, key, VALUES[key] * 2)
    check_values(cfg)


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_names_in_files_and_on_the_command_line_the_last_counts(first, tmp_path):
    names = ["SOLVER.CLIP_MULTIPLIER", "SOLVER.LR_MULTIPLIERS.CLIP"]
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump({"_BASE_": str(ROOT / "configs/fgaseg/tiny.yaml")} | nested(names[first], 3))
    )
    assert setting(load_config(tmp_path / "own.yaml"), names[1]) == 3
    cfg = load_config(tmp_path / "own.yaml", [names[1 - first], 0.01])
    assert setting(cfg, names[1]) == 0.01


@pytest.mark.parametrize("key", sorted(OLD_NAMES))
def test_an_old_name_counts_over_what_the_package_writes(key):
    """A script of 0.1: Detectron2 merges a file of the package, then a key is set."""
    written = set()
    for path in sorted((ROOT / "configs/fgaseg").rglob("*.yaml")):
        keys = yaml.safe_load(path.read_text()).keys()
        if "ROWS" in keys or not {"MODEL", "_BASE_"} & keys:
            continue  # a table of configurations, or a description of a study
        cfg = defaults()
        cfg.merge_from_file(str(path))
        if value_of(cfg, key) != value_of(defaults(), key):
            written.add(value_of(cfg, key))
            put(cfg, OLD_NAMES[key], VALUES[OLD_NAMES[key]])
            assert setting(cfg, key) == VALUES[OLD_NAMES[key]], path
    assert written == set(BUNDLED.get(key, ()))


def test_old_words_reach_the_model():
    model = build_small("MODEL.FGASEG.VOCABULARY", "cat,dog").eval()
    assert model.test_vocabulary.class_names == ("cat", "dog")
    model = build_small("MODEL.FGASEG.PROMPT_TEMPLATES", "a drawing of a {}")
    assert model.text_encoder.templates == ("a drawing of a {}",)


def test_a_loss_switches_inference_only_until_scores_says_what_it_is():
    names = {
        scores: build_small("MODEL.FGASEG.LOSS.MAIN", "ce", "MODEL.SCORES", scores).score_function
        for scores in ("", "sigmoid", "softmax")
    }
    assert names[""] is names["softmax"] is not names["sigmoid"]
    assert build_small().score_function is names["sigmoid"]


class Prompted(Toy):
    def parameter_roles(self):
        return {"clip": list(self.clip.parameters()), "prompts": [self.classes.weight]}


def test_each_role_learns_at_its_rate():
    cfg = defaults()
    cfg.SOLVER.BASE_LR = 1.0
    cfg.SOLVER.LR_MULTIPLIERS.CLIP, cfg.SOLVER.LR_MULTIPLIERS.PROMPTS = 0.25, 3.0
    cfg.SOLVER.LR_MULTIPLIERS.HEAD = 0.5
    model = Prompted()
    rates = {id(p): group["lr"] for group in parameter_groups(cfg, model) for p in group["params"]}
    assert rates[id(model.clip.weight)] == 0.25 and rates[id(model.classes.weight)] == 3.0
    assert rates[id(model.norm.weight)] == 0.5


def test_a_role_without_a_key_is_one_line():
    class Odd(Toy):
        def parameter_roles(self):
            return {"anchors": [self.classes.weight]}

    with pytest.raises(ValueError, match=r"add cfg\.SOLVER\.LR_MULTIPLIERS\.ANCHORS = 1.0"):
        parameter_groups(defaults(), Odd())
