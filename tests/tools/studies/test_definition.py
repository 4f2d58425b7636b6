"""The studies that come with the package, and what is said about a bad one."""

import json

import pytest
from studies.definition import load_study, study_names
from studies.plan import Planner, _words
from studies.settings import Settings

from fgaseg_d2.config.loading import load_config
from tests.conftest import ROOT

NAMES = (
    *("clip_tuning", "components", "decoder", "early_rejection"),
    *("gamma", "kernel", "p2t_depth", "t2p_weight"),
)
ABLATIONS = ROOT / "configs" / "fgaseg" / "ablations"
TABLE = ABLATIONS.with_suffix(".yaml")


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    return Planner(tmp_path_factory.mktemp("studies"), Settings(iterations=7, scenes=3))


def test_these_studies_are_there():
    assert tuple(study_names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_a_configuration_of_its_own(name, planner):
    study = load_study(name)
    runs = planner.runs(study, [0, 5])
    assert [(run.seed, run.row) for run in runs] == [
        (seed, row.name) for seed in (0, 5) for row in study.rows
    ]
    assert len({run.test.folder for run in runs}) == len(runs)
    for run in runs:
        config = run.training.config
        assert (config["SOLVER.MAX_ITER"], config["SEED"]) == (7, run.seed)
        assert run.test.config["TEST.MAX_PICTURES"] == 3
        # What is tested is what was trained.
        assert {k: v for k, v in run.test.config.items() if k.startswith("MODEL.FGASEG.P2T")} == {
            k: v for k, v in config.items() if k.startswith("MODEL.FGASEG.P2T")
        }


# Rows of a study -> the configurations of the same rows at the paper's size.
SAME = {
    "components": {
        "none": "table2_none",
        "P2Tformer": "table2_p2tformer",
        "P2Tformer + T2P loss": "table2_p2tformer_t2p_loss",
        "P2Tformer + T2P loss + LCS": "table2_p2tformer_t2p_loss_lcs",
    },
    "p2t_depth": {f"{n} layer{'s' if n > 1 else ''}": f"table3b_layers_{n}" for n in range(1, 8)},
    "gamma": {"trainable from 0.1": "table3c_gamma_trainable"}
    | {f"fixed at {g}": f"table3c_gamma_{g}" for g in ("0.01", "0.1", "0.5", "1.0", "5.0")},
    "t2p_weight": {
        weight: f"table3d_t2p_weight_{weight}"
        for weight in ("0.002", "0.005", "0.02", "0.2", "0.5", "1.0", "5.0")
    },
    "kernel": {f"{n} x {n}": f"table4a_kernel_{n}" for n in range(1, 16, 2)}
    | {"3 x 3 without norm": "table4b_no_kernel_norm"},
    "decoder": {
        f"{decoder}, {fusion}": f"table5_{short}_{fusion[:3].replace('con', 'cat')}"
        for decoder, short in (("plain decoder", "nofast"), ("early rejection", "fast"))
        for fusion in ("concatenation", "addition")
    },
    "early_rejection": {f"N = {n}": f"table6_top_{n}" for n in (1, 4, 8, 16, 32)},
    "clip_tuning": {
        "frozen": "table3a_frozen_with_p2tformer",
        "frozen, no P2Tformer": "table3a_frozen_without_p2tformer",
        "attention": "table7_attention",
        "full": "table7_full",
    },
}
STUDIED = ("P2T.LAYERS", "P2T.GAMMA", "LCS", "FUSION", "FAST", "LOSS.T2P_WEIGHT", "CLIP.FINETUNE")


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_the_papers(name, planner):
    study = load_study(name)
    runs = {run.row: run.test.config for run in planner.runs(study, [0])}
    for row, ablation in SAME[name].items():
        theirs = load_config(ABLATIONS / f"{ablation}.yaml", device="cpu")
        for key, value in runs[row].items():
            if any(part in key for part in STUDIED) and not (
                key.endswith("P2T.GAMMA") and name != "gamma"
            ):
                node = theirs
                for part in key.split("."):
                    node = node[part]
                assert value == node, (row, key)
    assert {row.name for row in study.rows if row.paper} - {"prompt"} == set(SAME[name])


def test_rows_that_train_alike_share_a_folder(planner):
    runs = [run for name in NAMES for run in planner.runs(load_study(name), [0])]
    folders = {}
    for run in runs:
        folders.setdefault(run.training.folder, run.training.config)
        assert folders[run.training.folder] == run.training.config
    early = [run for run in runs if run.study == "early_rejection"]
    assert len({run.training.folder for run in early}) == 1
    defaults = {run.training.folder for run in runs if run.training.folder.parent.name == "default"}
    assert len(defaults) == 1 and len(folders) == len({json.dumps(c) for c in folders.values()})


def test_the_papers_figures_are_those_of_the_published_table():
    # Table I repeats the default row; the benchmarks' page has it from there.
    from fgaseg_d2.evaluation.published import ROWS

    study = load_study("components")
    default = next(row for row in study.rows if row.name == study.default)
    assert default.paper == dict(ROWS[0].miou)


GOOD = {
    "title": "t",
    "question": "q?",
    "train_config": "tiny",
    "test_config": "tiny",
    "default": "a",
    "rows": [{"name": "a"}, {"name": "b", "train": {"SEED": 1}}],
}


ROW = [{"name": "a", "ablation": "table2_nome"}]


def write(tmp_path, **changes):
    content = {k: v for k, v in (GOOD | changes).items() if v is not None}
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_study_of_ones_own(tmp_path):
    study = load_study(str(write(tmp_path, figures={"all": "pets/mIoU"})))
    assert (study.name, study.rows[1].train, study.panels) == ("mine", {"SEED": 1}, ("all",))


def test_rows_of_a_table(tmp_path):
    rows = [
        {"name": "a", "ablation": "table6_top_4"},
        {"name": "b", "ablation": "table6_top_4", "train": {"SEED": 1}, "test": {"SEED": 2}},
    ]
    own = {"ablations": str(TABLE), "only_tested": ["MODEL.FGASEG.FAST.KEEP"]}
    a, b = load_study(str(write(tmp_path, rows=rows, **own))).rows
    fast, keep = {"MODEL.FGASEG.FAST.ENABLED": True}, {"MODEL.FGASEG.FAST.KEEP": 4}
    assert (a.train, a.test) == (fast, keep)
    assert (b.train, b.test) == (fast | {"SEED": 1}, keep | {"SEED": 2})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": None}, "the key 'rows' is missing"),
        ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'"),
        ({"rows": [{"name": "a"}, {"name": "a", "train": {"SEED": 1}}]}, "got 'a' twice"),
        ({"rows": [{"name": "a"}, {"name": "b"}]}, "'a' and 'b' change the same"),
        ({"default": "c"}, "default: expected one of the rows ['a', 'b'], got 'c'"),
        ({"rows": [{"name": "a", "trian": {}}]}, "row 1: unknown key 'trian'"),
        ({"rows": [{"name": "a", "train": ["SEED", 1]}]}, "row 'a', train: expected keys with"),
        ({"rows": [{"name": "a", "paper": {"A-150": "much"}}]}, "row 'a', paper: expected"),
        ({"rows": {}}, "rows: expected a list"),
        ({"rows": [{"name": "a", "ablation": "x"}]}, "expected a table of rows in 'ablations'"),
        ({"rows": ROW, "ablations": str(TABLE)}, "got 'table2_nome'; did you mean"),
        ({"rows": ROW, "ablations": "none.yaml"}, "none.yaml"),
        ({"panels": ["sen"]}, "panels: expected some of seen"),
        ({"figures": {"a": "mIoU"}}, "figures: expected 'test set/figure'"),
        ({"train_config": "no_such"}, "expected a YAML file or the name of a bundled"),
    ],
)
def test_bad_studies_are_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_study(str(write(tmp_path, **changes)))
    assert message in str(caught.value) and "mine.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_unknown_studies_and_keys(tmp_path, planner):
    with pytest.raises(FileNotFoundError, match="did you mean 'gamma'.*components"):
        load_study("gama")
    with pytest.raises(FileNotFoundError, match="got nothing"):
        load_study(str(tmp_path / "none.yaml"))
    rows = [{"name": "a"}, {"name": "b", "train": {"MODEL.FGASEG.P2T.LAYER": 2}}]
    study = load_study(str(write(tmp_path, rows=rows)))
    with pytest.raises(
        ValueError, match=r"row 'b': unknown .*did you mean MODEL.FGASEG.P2T.LAYERS"
    ):
        planner.runs(study, [0])


def test_values_reach_the_configuration_as_on_a_command_line():
    words = _words({"MODEL.FGASEG.LCS.ENABLED": False, "TEST.AUG.MIN_SIZES": [1, 2]})
    cfg = load_config("tiny", words, weights="", device="cpu")
    assert cfg.MODEL.FGASEG.LCS.ENABLED is False and list(cfg.TEST.AUG.MIN_SIZES) == [1, 2]
