"""The tables in docs/studies against the logs beside them, and against what makes tables."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from studies import table
from studies.definition import load_study, study_names

FOLDER = Path(__file__).parents[2] / "docs/studies"
DOCUMENTS = sorted(FOLDER.glob("*.json"))


@pytest.fixture(scope="module")
def logs():
    """All files of the archive by name, read as JSON lines."""
    with tarfile.open(FOLDER / "logs.tar.xz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


@pytest.fixture(params=DOCUMENTS, ids=lambda path: path.stem)
def document(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def finished(row):
    return [run for run in row["runs"] if run["state"] == "finished"]


def test_every_study_has_a_table():
    assert {path.stem for path in DOCUMENTS} == set(study_names())


def test_figures_are_those_of_the_logs(document, logs):
    for row in document["rows"]:
        assert len(finished(row)) in (0, 3)
        for run in finished(row):
            for key, source in document["figures"].items():
                test_set, figure = source.split("/")
                log = json.loads(logs[f"{run['folder']}/inference/{test_set}/evaluation.json"])
                assert run["figures"][key] == log["results"][figure], (row["name"], key)
                assert log["pictures"] == document["settings"]["scenes"]


def test_runs_were_trained_as_the_rows_say(document, logs):
    for row in document["rows"]:
        for run in finished(row):
            training = Path(run["folder"]).parent
            settings = json.loads(logs[f"{training}/settings.json"])
            wanted = row["train"] | {
                "SEED": run["seed"],
                "SOLVER.MAX_ITER": document["settings"]["iterations"],
                "weights_sha256": document["settings"]["weights_sha256"],
            }
            assert {key: settings[key] for key in wanted} == wanted
            steps = [json.loads(line) for line in logs[f"{training}/metrics.json"].splitlines()]
            assert steps[-1]["iteration"] == settings["SOLVER.MAX_ITER"] - 1
            assert np.isfinite([step["total_loss"] for step in steps]).all()


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
