"""From a command line to finished tables: what tools/run_study.py does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fgaseg_d2.config.loading import load_config
from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.records import dataset_records
from fgaseg_d2.io.files import atomic_path, write_json
from fgaseg_d2.wording import shown

from . import plot, table
from .collect import collect, states
from .definition import Study, load_study, study_names
from .jobs import Jobs, make_slots
from .plan import Planner, Run, check
from .settings import CLIP, RUNS, read_settings, settle, write_clip, write_settings


@dataclass(frozen=True)
class Request:
    """What a command line asks for.

    Attributes:
        studies: names or files; "all" for all that come with the package.
        seeds: each 0 or more.
        output: folder of all results.
        weights, iterations, scenes, opts: see :func:`studies.settings.settle`; opts are
            keys and values in turn.
        only: names of rows; empty for all.
        jobs: runs at once; None lets the machine decide.
        collect: only make tables and plots of what is there.
    """

    studies: Sequence[str]
    seeds: Sequence[int]
    output: Path
    weights: str | None = None
    iterations: int | None = None
    scenes: int | None = None
    opts: Sequence[str] | None = None
    only: Sequence[str] = field(default_factory=list)
    jobs: int | None = None
    collect: bool = False


def run(request: Request, train_net: Path, say: Callable[[str], None]) -> int:
    """Run studies and write their tables, also when interrupted.

    Args:
        request: what to do.
        train_net: path of train_net.py.
        say: is given lines for people.

    Returns:
        Number of commands that failed.

    Raises:
        ValueError, OSError: something that a user can mend.
        KeyboardInterrupt: interrupted; says how to continue.
    """
    studies = _studies(request)
    if request.collect and read_settings(request.output) is None:
        raise ValueError(
            f"expected runs in {request.output}, got none; run without --collect first"
        )
    settings, checkpoint = settle(
        request.output,
        request.weights,
        request.iterations,
        request.scenes,
        _overrides(request.opts),
    )
    planner = Planner(request.output, settings)
    # Seed by seed over all studies, so that what is there early is comparable.
    runs = [
        run
        for seed in request.seeds
        for study in studies
        for run in planner.runs(study, [seed], request.only)
    ]
    for one in runs:
        check(one.training)
    if request.collect:
        _write_all(request, studies, planner, say)
        return 0
    device = _prepare(request, studies, planner, checkpoint)
    write_settings(request.output, settings)
    jobs = Jobs(train_net, make_slots(request.jobs, device), say)
    try:
        say(_announcement(runs, len(jobs.slots)))
        failures = jobs.run(runs)
    except KeyboardInterrupt:
        _write_all(request, studies, planner, say)
        raise KeyboardInterrupt("interrupted; run the same command again to continue") from None
    _write_all(request, studies, planner, say)
    return failures


def write(study: Study, planner: Planner, seeds: Iterable[int]) -> dict[str, Any]:
    """Write the table, the document and the plot of a study.

    Args:
        study: the study.
        planner: of the output folder.
        seeds: that were asked for.

    Returns:
        The document.

    Raises:
        ValueError, OSError: see :func:`studies.collect.collect`.
    """
    document = collect(study, planner, seeds)
    target = planner.output / study.name
    write_json(target.with_suffix(".json"), document)
    with atomic_path(target.with_suffix(".md")) as temporary:
        temporary.write_text(table.page(document), encoding="utf-8")
    plot.plot(document, target.with_suffix(".png"))
    return document


def _studies(request: Request) -> list[Study]:
    names = [name for one in request.studies for name in (study_names() if one == "all" else [one])]
    studies = [load_study(name) for name in dict.fromkeys(names)]
    known = [row.name for study in studies for row in study.rows]
    for name in request.only:
        if name not in known:
            raise ValueError(f"--only: expected some of {', '.join(known)}, got {shown(name)}")
    return studies


def _overrides(opts: Sequence[str] | None) -> dict[str, str] | None:
    if opts is None:
        return None
    if len(opts) % 2:
        raise ValueError(f"--opts: expected keys and values in turn, got {' '.join(opts)}")
    return dict(zip(opts[::2], opts[1::2], strict=True))


def _prepare(request: Request, studies: Sequence[Study], planner: Planner, checkpoint: str) -> str:
    """Have data and CLIP ready, so that no run draws or fetches them; returns the device."""
    device = ""
    for study in studies:
        for path, overrides in (
            (study.train_config, planner.training_overrides),
            (study.test_config, planner.test_overrides),
        ):
            words = [str(w) for item in overrides(_default(study)).items() for w in item]
            cfg = load_config(path, words, weights="")
            register_configured(cfg)
            for name in dict.fromkeys((*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST)):
                dataset_records(name)
            device = cfg.MODEL.DEVICE
        if checkpoint:
            write_clip(cfg, checkpoint, request.output / RUNS / CLIP)
            checkpoint = ""
    return device


def _default(study: Study) -> Any:
    return next(row for row in study.rows if row.name == study.default)


def _announcement(runs: Sequence[Run], jobs: int) -> str:
    left = [run for run in runs if not run.finished]
    models = {run.training.folder for run in left if not run.training.finished}
    return (
        f"{len(runs)} runs, {len(runs) - len(left)} of them finished already; "
        f"{len(models)} models to train, {jobs} at once"
    )


def _write_all(
    request: Request, studies: Sequence[Study], planner: Planner, say: Callable[[str], None]
) -> None:
    for study in studies:
        document = write(study, planner, () if request.collect else request.seeds)
        counts = states(document["rows"])
        path = planner.output / f"{study.name}.md"
        summary = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        say(f"{path}: {summary}")
