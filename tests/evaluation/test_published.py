"""Published figures beside those of a run."""

import pytest

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data.datasets.benchmarks import BENCHMARKS
from fgaseg_d2.engine.run_description import describe_run
from fgaseg_d2.evaluation.markdown import results_page
from fgaseg_d2.evaluation.outcome import Evaluation
from fgaseg_d2.evaluation.published import ZERO_SHOT
from fgaseg_d2.evaluation.without_masks import COLUMNS, ROWS
from fgaseg_d2.vocabulary.zero_shot import SPLITS
from tests.conftest import ROOT, config

FIGURES = {"mIoU": 80.0, "seen_mIoU": 85.12, "unseen_mIoU": 70.34, "harmonic_mIoU": 77.03}


def page(**run):
    name = "pascal_voc_20_val"
    return results_page([Evaluation(name, FIGURES | {"pACC": 91.5}, 1449, 1449, run)])


def test_a_zero_shot_split_stands_beside_what_others_have_reached():
    section = page(unseen="voc_15_5").split("## Zero-shot split voc_15_5")[1]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("|")]
    assert rows[2] == ["| this run, pascal_voc_20_val", "85.12", "70.34", "77.03", "91.50 |"]
    assert ["| ZegCLIP, inductive", "91.9", "77.8", "84.3", " |"] in rows
    assert len(rows) == 3 + len(ZERO_SHOT["voc_15_5"])


def test_the_table_says_what_segments_cover_where_there_are_some():
    shares = [{"covered": 87.654}, {}]
    table = results_page(
        [Evaluation(name, {"mIoU": 1.0} | more, 5, 5, {}) for name, more in zip("ab", shares)]
    )
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows[0] == "| test set | pictures | mIoU | covered by segments |"
    assert rows[2:] == ["| a | 5 | 1.00 | 87.65 |", "| b | 5 | 1.00 |  |"]
    assert "covered" not in page()


@pytest.mark.parametrize("run", [{}, {"unseen": "cat,dog"}, {"unseen": "metadata"}])
def test_other_classes_have_no_such_section(run):
    assert "Zero-shot split" not in page(**run)


def test_harmonic_means_are_those_of_their_figures():
    """To the first decimal of all three; a slip of the pen in one would show."""
    assert set(ZERO_SHOT) <= set(SPLITS)
    for rows in ZERO_SHOT.values():
        for row in rows:
            mean = 2 / (1 / row.seen + 1 / row.unseen)
            assert row.harmonic == pytest.approx(mean, abs=0.11), row


USE_PAPER = "USE (arXiv 2406.05271), trained on"


def test_uses_figures_stand_beside_a_run_of_use_and_of_no_other_method():
    sets = ("ade20k_847", "pascal_context_459", "ade20k_150", "pascal_context_59", "pascal_voc_20")

    def table(architecture):
        run = {"clip": "ViT-L-14-quickgelu", "architecture": architecture}
        found = [
            Evaluation(f"{name}_val", {"mIoU": 20.0}, n, n, run)
            for name, n in zip(sets, (2000, 5104, 2000, 5104, 1449))
        ]
        lines = results_page(found).splitlines()
        return [line.split(" | ") for line in lines if line.startswith("|")]

    header, _, *rows = table("USE")
    columns = [header.index(f"{USE_PAPER} {data}, ViT-L/14") for data in ("COCO", "COCO + VG")]
    found = [" ".join(row[column] for column in columns) for row in rows]
    # The paper has no figure of VOC.
    assert found == ["13.3 13.4", "14.7 15.0", "37.0 37.1", "57.8 58.0", " "]
    assert rows[0][columns[0] + 1] == "+6.7"
    other = " ".join(table("FGASeg")[0])
    assert USE_PAPER not in other and "CAT-Seg" in other


def test_a_run_of_use_says_what_is_not_as_published():
    sam = ("TEST.PROPOSALS.KIND", "sam")

    def deviations(name, *opts):
        return describe_run(config(f"configs/use/{name}.yaml", *opts))["deviations"]

    segments = "TEST.PROPOSALS.KIND is 'superpixels' instead of 'sam'"
    assert deviations("vitl14_dinov2") == [segments]
    without = deviations("vitl14_dinov2", *sam, "MODEL.USE.GLOBAL", False)
    assert without == ["MODEL.USE.GLOBAL is False instead of True"]
    (towers,) = deviations("base", *sam)
    assert towers.startswith("MODEL.USE.TOWERS is [{'name': 'clip'}] instead of ")


@pytest.mark.parametrize(
    "name",
    ["naclip_eight_sets", "training_free_vitb16", "ldvc/storybook", "storybook_clip_training_free"],
)
@pytest.mark.parametrize("opts", [(), ("TEST.PAMR.ITERATIONS", 10, "INPUT.MIN_SIZE_TEST", 100)])
def test_a_method_without_a_protocol_of_its_own_has_none_to_leave(name, opts):
    assert describe_run(load_config(name, opts, device="cpu"))["deviations"] == []
    words = (*opts, "DATASETS.TEST", ("a",), "DATASETS.TEST_VOCABULARIES", ("cat,dog",))
    found = describe_run(load_config(name, words, device="cpu"))["deviations"]
    assert found == ["other words for a: cat,dog"]


def test_a_run_of_mgca_is_held_against_its_own_protocol():
    file = "configs/mgca/eight_sets.yaml"
    assert describe_run(config(file))["deviations"] == []
    pamr, whole = ("TEST.PAMR.ITERATIONS", 10), ("TEST.SLIDING_WINDOW.ENABLED", False)
    found = describe_run(config(file, *pamr, *whole, "MODEL.CLIP.DENSE_READING", "sclip"))
    assert sorted(found["deviations"]) == [
        "TEST.PAMR.ITERATIONS is 10 instead of 0",
        "TEST.SLIDING_WINDOW.ENABLED is False instead of True",
    ]


def beside(*evaluations, run):
    """Rows of the section on methods without label maps, as lists of cells; None without it."""
    text = results_page([Evaluation(*one, run) for one in evaluations])
    parts = text.split("## Beside methods without label maps")
    if len(parts) == 1:
        return None
    lines = [line for line in parts[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


EVALUATED = [
    ("ade20k_150_val", {"mIoU": 11.25}, 2000, 2000),
    ("storybook_val", {"mIoU": 80.0}, 9, 9),
    ("pascal_voc_21_val", {"mIoU": 45.55}, 1449, 1449),
    ("cityscapes_19_val", {"mIoU": 7.0}, 20, 500),
    ("coco_object_81_val", {"mIoU": 20.0}, 3, 3),
    ("pascal_context_59_val", {}, 5104, 5104),
]


@pytest.mark.parametrize("source", ["captions", "nothing"])
def test_a_method_without_label_maps_stands_beside_its_like(source):
    """Sets in the order of their tables; void where not all pictures were scored."""
    rows = beside(*EVALUATED, run={"trained_on": source, "clip": "ViT-B/16"})
    assert rows[0] == ["method", "VOC 21", "COCO-Object", "Context 59", "Cityscapes", "ADE20K"]
    assert rows[2] == ["**this run**", "45.55", "20.00 (void)", "-", "7.00 (void)", "11.25"]
    found = {row[0]: row[1:] for row in rows[3:]}
    assert len(found) == 8
    assert found["SCLIP, paper"] == ["59.1", "30.5", "34.2", "32.2", "16.1"]
    assert found["CoDe, trained on captions"] == ["57.7", "32.3", "-", "28.9", "17.7"]


def test_others_do_not_stand_there():
    assert beside(*EVALUATED, run={"clip": "ViT-B/16"}) is None
    assert beside(EVALUATED[1], run={"trained_on": "captions"}) is None


@pytest.mark.parametrize(
    ("name", "opts", "stands"),
    [
        ("dense_clip/base", (), True),
        ("clip_pretraining/storybook_clip_training_free", (), True),
        ("mgca/base", ("MODEL.WEIGHTS", "out/model_final.pth"), True),
        # CLIPs that were trained further: the one with label maps, of the other nothing is known.
        ("fgaseg/tiny_training_free", (), False),
        ("dense_clip/base", ("MODEL.WEIGHTS", "out/model_final.pth"), False),
        ("fgaseg/base", (), False),
    ],
)
def test_a_clip_with_weights_of_another_training_does_not_stand_there(name, opts, stands):
    run = describe_run(config(f"configs/{name}.yaml", *opts))
    assert (beside(*EVALUATED, run=run) is not None) == stands


STORYBOOK = "fgaseg_d2://storybook_clip.safetensors"
PROXY = "the proxy vit_base_patch8_224 (dino)"


@pytest.mark.parametrize(
    ("name", "opts", "weights"),
    [
        ("naclip_eight_sets", (), "CLIP's own (openai), no others"),
        ("proxyclip_eight_sets", (), f"CLIP (openai) with {PROXY}, no others"),
        ("proxyclip_eight_sets", ("MODEL.CLIP.PRETRAINED", ""), f"a random CLIP with {PROXY}"),
        ("proxyclip_eight_sets", ("MODEL.WEIGHTS", STORYBOOK), f"{STORYBOOK}, with {PROXY}"),
        (
            "proxyclip_eight_sets",
            ("MODEL.DENSE_CLIP.PROXY.PRETRAINED", ""),
            "CLIP (openai) with the proxy vit_base_patch8_224 (random)",
        ),
    ],
)
def test_the_page_names_all_towers_that_have_weights(name, opts, weights):
    run = describe_run(load_config(name, opts, device="cpu"))
    text = results_page([Evaluation(*EVALUATED[0], run)])
    assert f"* Weights: {weights}" in text


@pytest.mark.parametrize(("run", "compared"), [({}, True), ({"trained_on": "captions"}, False)])
def test_what_learned_from_captions_is_not_compared_with_what_saw_masks(run, compared):
    text = results_page([Evaluation(*EVALUATED[0], {"clip": "ViT-B-16", **run})])
    assert ("FGAseg (arXiv" in text) == compared


def test_published_means_are_those_of_the_papers():
    """Over the eight sets, as their tables have them; a slip of the pen in one would show."""
    means = {row.method.split(",")[0]: sum(row.miou.values()) / 8 for row in ROWS}
    assert means["MaskCLIP"] == pytest.approx(30.3, abs=0.06)
    assert means["SCLIP"] == pytest.approx(38.2, abs=0.06)
    assert means["ClearCLIP"] == pytest.approx(38.1, abs=0.06)
    assert means["NACLIP"] == pytest.approx(39.4, abs=0.06)
    assert means["NACLIP with PAMR"] == pytest.approx(42.46, abs=0.01)
    assert means["ProxyCLIP with DINO B/8"] == pytest.approx(42.3, abs=0.06)
    assert set(BENCHMARKS) >= set(COLUMNS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.method)
def test_the_guide_of_mgca_has_the_same_figures_of_the_same_sources(row):
    guide = (ROOT / "docs/MGCA.md").read_text(encoding="utf-8").split("\n## The eight sets")[1]
    method, _, source = row.method.partition(", ")
    (line,) = (line for line in guide.splitlines() if line.startswith(f"| {method} |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:-1] == ["-" if (v := row.miou.get(s)) is None else f"{v:.1f}" for s in COLUMNS]
    assert cells[-1].startswith(source)
