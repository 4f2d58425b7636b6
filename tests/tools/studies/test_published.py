"""The tables in results/studies against the runs behind them, and against what makes tables."""

import json
from pathlib import Path

import numpy as np
import pytest
from studies import table
from studies.definition import load_study, study_names

from tests.conftest import ROOT

FOLDER = ROOT / "results/studies"
DOCUMENTS = [FOLDER / f"{name}.json" for name in study_names()]


@pytest.fixture(scope="module")
def trainings():
    """What each training changed in the default row's with seed 0, and its losses, by folder."""
    return json.loads((FOLDER / "trainings.json").read_text(encoding="utf-8"))


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.stem)
def document(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def finished(row):
    return [run for run in row["runs"] if run["state"] == "finished"]


def test_every_study_has_a_table_and_every_table_a_study():
    assert {path.stem for path in FOLDER.glob("*.md")} == set(study_names())


def test_figures_are_those_of_the_test_sets(document):
    for row in document["rows"]:
        assert len(finished(row)) in (0, 3)
        for run in finished(row):
            for key, source in document["figures"].items():
                test_set, figure = source.split("/")
                assert run["figures"][key] == run["results"][test_set][figure], (row["name"], key)
                assert run["pictures"][test_set] == document["settings"]["scenes"]


def test_runs_were_trained_as_the_rows_say(document, trainings):
    settings = document["settings"]
    assert settings["iterations"] == trainings["SOLVER.MAX_ITER"]
    assert settings["weights_sha256"] == trainings["weights_sha256"]
    for row in document["rows"]:
        for run in finished(row):
            training = trainings["runs"][str(Path(run["folder"]).parent)]
            assert training["changes"] == row["train"] | {"SEED": run["seed"]}
            assert len(training["total_loss"]) == len(trainings["iterations"])
            assert np.isfinite(training["total_loss"]).all()
            assert training["total_loss"][-1] < training["total_loss"][0] / 2


def test_no_training_is_listed_that_no_table_uses(trainings):
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in DOCUMENTS]
    rows = [row for document in documents for row in document["rows"]]
    used = {str(Path(run["folder"]).parent) for row in rows for run in finished(row)}
    assert used == set(trainings["runs"])


def test_means_and_deviations_are_those_of_the_runs(document):
    default = next(row for row in document["rows"] if row["name"] == document["default"])
    for row in filter(finished, document["rows"]):
        for key in document["figures"]:
            ours = {run["seed"]: run["figures"][key] for run in finished(row)}
            theirs = {run["seed"]: run["figures"][key] for run in finished(default)}
            differences = [ours[seed] - theirs[seed] for seed in ours]
            for found, values in (
                (row["summary"][key], list(ours.values())),
                (row["difference"][key], differences),
            ):
                assert found["count"] == len(values)
                assert np.isclose(found["mean"], np.mean(values))
                assert np.isclose(found["deviation"], np.std(values, ddof=1))


def test_pages_are_made_of_the_documents(document):
    page = (FOLDER / f"{document['study']}.md").read_text(encoding="utf-8")
    assert page == table.page(document)


def test_rows_are_those_of_the_definition(document):
    rows = {row.name: row.train for row in load_study(document["study"]).rows}
    assert {row["name"]: row["train"] for row in document["rows"]} == rows
