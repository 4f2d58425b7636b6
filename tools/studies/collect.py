"""Reads what the runs of a study left, into one document that a table can be checked against."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detectron2.config import get_cfg

from fgaseg_d2.config.keys import add_fgaseg_config
from fgaseg_d2.config.values import leaves
from fgaseg_d2.evaluation.outcome import Evaluation
from fgaseg_d2.io.json_files import parse_json, read_json
from fgaseg_d2.wording import shown

from .definition import COSTS, Study
from .plan import DONE, FAILED, Planner, Run, Step, check
from .statistics import Spread, paired_difference, spread


def collect(study: Study, planner: Planner, seeds: Iterable[int] = ()) -> dict[str, Any]:
    """Read all runs of a study that are there.

    Args:
        study: the study.
        planner: of the output folder.
        seeds: to list beside those that are there, even without any run.

    Returns:
        In plain types: what the study is, how its runs were made ("settings", "config": the
        training's differences from the package's defaults, "test_config": the test's from the
        training's, "environments"), and "rows", each with its "runs" and, by figure, "summary" and
        "difference" to the default row, paired by seed.

    Raises:
        ValueError: a folder holds what was trained otherwise, or a file is damaged.
    """
    seeds = sorted({*seeds, *planner.seeds_there(study)})
    runs = planner.runs(study, seeds)
    environments: list[dict] = []
    rows = []
    for row in study.rows:
        own = [run for run in runs if run.row == row.name]
        found = [_read_run(study, run, planner.output, environments) for run in own]
        rows.append({**asdict(row), "runs": found})
    default = next(row for row in rows if row["name"] == study.default)
    for one in rows:
        one["summary"] = _by_figure(study, lambda key, one=one: spread(_values(one, key)))
        one["difference"] = _by_figure(
            study,
            lambda key, one=one: paired_difference(_values(one, key), _values(default, key)),
        )
    dates = [run["finished"][:10] for row in rows for run in row["runs"] if run.get("finished")]
    reference = next((run for run in runs if run.row == study.default), None)
    return {
        "study": study.name,
        **{key: getattr(study, key) for key in ("title", "table", "question", "note", "default")},
        "panels": list(study.panels),
        "figures": dict(study.figures),
        "settings": {**asdict(planner.settings), "seeds": seeds},
        **_configs(reference),
        "environments": environments,
        "dates": [min(dates), max(dates)] if dates else [],
        "rows": rows,
    }


def _read_run(study: Study, run: Run, output: Path, environments: list[dict]) -> dict[str, Any]:
    check(run.training)
    folder = run.test.folder.relative_to(output).as_posix()
    result: dict[str, Any] = {"seed": run.seed, "state": "missing", "folder": folder}
    for step in (run.training, run.test):
        if (step.folder / FAILED).is_file():
            log = step.log.relative_to(output).as_posix()
            return result | {"state": "failed", "log": log, **_json(step.folder / FAILED)}
    if not run.finished:
        return result
    evaluations = {path.parent.name: _evaluation(path) for path in run.test.products}
    results = {name: one.summary for name, one in evaluations.items()}
    notes = {step.folder: _json(step.folder / DONE) for step in (run.training, run.test)}
    trained, tested = notes[run.training.folder], notes[run.test.folder]
    cost = next(iter(evaluations.values())).cost
    return result | {
        "state": "finished",
        "finished": tested["finished"],
        "figures": {key: _figure(results, source) for key, source in study.figures.items()},
        **{key: cost.get(key) for key in COSTS if key != "training_seconds"},
        "training_seconds": _training_seconds(run.training),
        "pictures": {name: one.pictures for name, one in evaluations.items()},
        "results": results,
        "trained_on": _environment(trained, environments),
        "tested_on": _environment(tested, environments),
    }


def _figure(results: Mapping[str, Mapping], source: str) -> float | None:
    name, _, figure = source.partition("/")
    if figure not in results.get(name, {}):
        known = [f"{test_set}/{key}" for test_set, one in results.items() for key in one]
        raise ValueError(f"figures: expected one of {', '.join(known)}, got {shown(source)}")
    return results[name][figure]


def _training_seconds(step: Step) -> float | None:
    """Mean seconds of an iteration, as logged, times the iterations; without the start."""
    try:
        lines = (step.folder / "metrics.json").read_text(encoding="utf-8").splitlines()
        times = [entry["time"] for entry in map(parse_json, lines) if "time" in entry]
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f"expected JSON in all lines of {step.folder}/metrics.json, got an error ({error}); "
            "remove its folder to run it again"
        ) from error
    return statistics.fmean(times) * step.config["SOLVER.MAX_ITER"] if times else None


def _environment(notes: Mapping, environments: list[dict]) -> int:
    """Index of the machine and versions that a command ran with; they are listed once."""
    found = {key: notes[key] for key in ("machine", "versions", "jobs")}
    if found not in environments:
        environments.append(found)
    return environments.index(found)


def _values(row: Mapping, key: str) -> dict[int, float | None]:
    """A figure or cost of a row by seed."""
    return {run["seed"]: run.get("figures", run).get(key, run.get(key)) for run in row["runs"]}


def _by_figure(study: Study, compute: Any) -> dict[str, dict | None]:
    found: dict[str, Spread | None] = {key: compute(key) for key in (*study.figures, *COSTS)}
    return {key: one._asdict() if one else None for key, one in found.items()}


def _configs(run: Run | None) -> dict[str, dict]:
    """What the default row changes in the package's defaults, and its test in the training's."""
    if run is None:
        return {"config": {}, "test_config": {}}
    plain = get_cfg()
    add_fgaseg_config(plain)
    train, test = dict(run.training.config), run.test.config
    for key in ("SEED", "weights_sha256"):
        train.pop(key)
    return {
        "config": _changes(train, dict(leaves(plain))),
        "test_config": _changes(test, {**test, **train}),
    }


def _changes(config: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if base.get(key) != value}


def _evaluation(path: Path) -> Evaluation:
    try:
        return Evaluation.from_plain(_json(path))
    except (TypeError, KeyError) as error:
        raise ValueError(
            f"expected an evaluation in {path}, got something else ({error}); remove its folder to "
            "run it again"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except ValueError as error:
        raise ValueError(
            f"expected JSON in {path}, got an error ({error}); remove its folder to run it again"
        ) from error


def states(rows: Sequence[Mapping]) -> dict[str, int]:
    """Count the runs of a document's rows by their state."""
    counts = {"finished": 0, "failed": 0, "missing": 0}
    for row in rows:
        for run in row["runs"]:
            counts[run["state"]] += 1
    return counts
