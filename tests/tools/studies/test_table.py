"""Statistics against NumPy, and what table and plot say about runs that are there or not."""

import numpy as np
import pytest
from PIL import Image
from studies import table
from studies.plot import plot
from studies.statistics import paired_difference, spread


def test_means_and_deviations_are_numpys():
    values = dict(enumerate(np.random.default_rng(0).normal(50, 3, 5)))
    found = spread(values)
    array = np.array(list(values.values()))
    assert np.allclose([found.mean, found.deviation], [array.mean(), array.std(ddof=1)])
    assert found.count == 5
    assert spread({0: 1.5, 1: None}).deviation is None and spread({0: 1.5, 1: None}).count == 1
    assert spread({0: None}) is None and spread({}) is None


def test_differences_are_paired_by_seed():
    seeds, rng = np.arange(4), np.random.default_rng(1)
    common = rng.normal(0, 10, 4)  # what a seed does to every row
    ours, theirs = common + rng.normal(2, 0.1, 4), common + rng.normal(0, 0.1, 4)
    found = paired_difference(dict(zip(seeds, ours)), dict(zip(reversed(seeds), reversed(theirs))))
    difference = ours - theirs
    assert np.allclose([found.mean, found.deviation], [difference.mean(), difference.std(ddof=1)])
    assert found.deviation < 1
    assert paired_difference({0: 5.0, 1: 7.0}, {1: 4.0, 2: 9.0}).mean == 3
    assert paired_difference({0: 5.0}, {1: 4.0}) is None


def figure(mean, deviation=None, count=1):
    return {"mean": mean, "deviation": deviation, "count": count}


COST = dict.fromkeys(
    ("seconds_per_picture", "training_seconds", "parameters", "trained_parameters")
)
ENVIRONMENT = {
    "machine": {"gpu": None, "processor": "A Processor", "threads": 1},
    "versions": {"torch": "2.9", "detectron2": "0.6", "fgaseg_d2": "1"},
    "jobs": 2,
}


def run(seed, state="finished", **more):
    return {"seed": seed, "state": state, **more}


def document():
    first = {
        "name": "a",
        "paper": {"A-150": 30.0, "PC-59": 50.0},
        "paper_time": {},
        "runs": [run(0, figures={"mIoU": 60.0}), run(1, figures={"mIoU": 62.0})],
        "summary": COST | {"mIoU": figure(61.0, 1.41, 2), "parameters": figure(1.5e6)},
        "difference": COST | {"mIoU": figure(0.0, 0.0, 2)},
    }
    second = {
        "name": "b|c",
        "paper": {"A-150": 31.0, "PC-59": 48.0, "PAS-20": 90.0},
        "paper_time": {},
        "runs": [
            run(0, figures={"mIoU": 55.0}),
            run(1, "failed", reason="no memory", log="runs/b/console.log"),
        ],
        "summary": COST | {"mIoU": figure(55.0)},
        "difference": COST | {"mIoU": figure(-5.04)},
    }
    return {
        **{
            "study": "s",
            "title": "T",
            "table": "II",
            "question": "Q?",
            "note": "N.",
            "main": "mIoU",
        },
        "default": "a",
        "panels": ["mIoU", "seconds_per_picture"],
        "figures": {"mIoU": "x/mIoU"},
        "settings": {
            **{"seeds": [0, 1], "iterations": 9, "scenes": 5, "overrides": {"SEED": "1"}},
            **{"weights": "clip.pth", "weights_sha256": "ab" * 32},
        },
        "config": {"SOLVER.MAX_ITER": 9, "SOLVER.IMS_PER_BATCH": 2},
        "environments": [ENVIRONMENT],
        "dates": ["2030-01-01", "2030-01-02"],
        "rows": [first, second],
    }


def cells(page, name):
    """Cells of the lines of a row, one list for each table."""
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in page.splitlines()
        if line.startswith(f"| {name} ")
    ]


def test_the_page_has_means_spreads_differences_and_the_papers_figures():
    page = table.page(document())
    accuracy, difference, cost = cells(page, "**a**")
    assert accuracy[1:] == ["2", "61.0 ± 1.4", "30.0", "50.0"]
    assert difference[1:] == ["", ""] and cost[3] == "1.50"
    accuracy, difference, _ = cells(page, "b\\|c")
    assert accuracy[1:] == ["1 (1 failed)", "55.0", "31.0", "48.0"]
    # The mean of +1 and -2: PAS-20 is not in both rows.
    assert difference[1:] == ["\N{MINUS SIGN}5.0", "\N{MINUS SIGN}0.5"]
    for text in (
        *("b|c, seed 1: failed (no memory); log: `runs/b/console.log`", "9 iterations of 2 crops"),
        *("A Processor, 2 runs at once with 1 CPU thread each; PyTorch 2.9", "SEED 1"),
        *("2030-01-01 to 2030-01-02", "clip.pth", "abababababababab", "Table II", "Q?", "N."),
    ):
        assert text in page
    assert "trained to the end" not in page


def test_the_page_says_what_is_missing_and_where_clip_comes_from():
    content = document()
    content["rows"][1]["runs"] = [run(0, "missing"), run(1, "missing")]
    content["settings"]["weights"] = "fgaseg_d2://storybook_vit8.safetensors"
    page = table.page(content)
    assert "2 runs are missing" in page and "trained to the end" in page


@pytest.mark.parametrize("empty", [False, True])
def test_the_plot_shows_points_and_means(tmp_path, empty):
    content = document()
    if empty:
        for row in content["rows"]:
            row["runs"] = [run(0, "missing")]
            row["summary"] = dict.fromkeys(row["summary"])
    plot(content, tmp_path / "s.png")
    picture = np.asarray(Image.open(tmp_path / "s.png").convert("RGB")).astype(int)
    # The first seed's points are matplotlib's first colour, blended with white.
    blue = (np.abs(picture - [31, 119, 180]).sum(-1) < 150) & (picture[..., 2] > 150)
    assert bool((blue & (picture[..., 0] < 120)).sum() > 20) != empty
