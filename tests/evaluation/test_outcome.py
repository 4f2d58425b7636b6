"""Which figures are of single classes: what carries them says so, not how they are spelt."""

import csv
import json
from dataclasses import replace

import pytest

from fgaseg_d2.engine import testing
from fgaseg_d2.evaluation.outcome import Evaluation
from fgaseg_d2.evaluation.report import write_report
from tests import datasets

RESULTS = {"mIoU": 50.0, "IoU-cat": 40.0, "IoU-sea-lion": 60.0, "IoU-over-all": 70.0, "ACC": 80.0}
ROWS = [{"class": "cat", "IoU": 40.0}, {"class": "sea-lion", "IoU": 60.0}]
WHOLE = {"mIoU": 50.0, "IoU-over-all": 70.0, "ACC": 80.0}


def columns(folder):
    with open(folder / "results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_leaves_out_single_classes_alone(tmp_path):
    found = Evaluation("pets", RESULTS, 2, 2, of_classes=["IoU-cat", "IoU-sea-lion"])
    assert found.summary == WHOLE
    write_report(tmp_path, found)
    (row,) = columns(tmp_path)
    assert set(row) == {"dataset", "pictures", *WHOLE}
    assert json.loads((tmp_path / "results.json").read_text())["pets"] == RESULTS | {"pictures": 2}


def test_files_of_0_1_are_read_with_their_classes(tmp_path):
    write_report(tmp_path, Evaluation("old", RESULTS, 2, 2, per_class=ROWS))
    path = tmp_path / "inference" / "old" / "evaluation.json"
    content = json.loads(path.read_text())
    del content["of_classes"]
    path.write_text(json.dumps(content))
    assert Evaluation.from_plain(content).summary == WHOLE
    new = Evaluation("new", RESULTS, 2, 2, of_classes=["IoU-cat", "IoU-sea-lion"])
    write_report(tmp_path, new)
    rows = columns(tmp_path)
    assert {row["dataset"] for row in rows} == {"old", "new"}
    assert set(rows[0]) == {"dataset", "pictures", *WHOLE}


def test_what_is_written_is_read_as_it_was(tmp_path):
    found = Evaluation("pets", RESULTS, 2, 3, {"config": "a"}, ROWS, {"parameters": 5.0})
    found = replace(found, of_classes=["IoU-cat"])
    write_report(tmp_path, found)
    path = tmp_path / "inference" / "pets" / "evaluation.json"
    assert Evaluation.from_plain(json.loads(path.read_text())) == found


@pytest.mark.parametrize("task", ["sem_seg", "theirs"])
def test_another_projects_figures_are_told_by_the_classes_of_the_test_set(task):
    """An evaluator of Detectron2 gives one flat dict for each of its tasks."""
    values = {"mIoU": 1.0, "IoU-red block": 2.0, "ACC-red block": 3.0, "IoU-mean": 4.0, "AP-": 5.0}
    with datasets.registered("blocks", []) as name:
        found = testing.outcome(name, {task: values}, None, {})
    prefix = "" if task == "sem_seg" else "theirs/"
    assert found.results == {f"{prefix}{key}": value for key, value in values.items()}
    assert set(found.summary) == {f"{prefix}{key}" for key in ("mIoU", "IoU-mean", "AP-")}
