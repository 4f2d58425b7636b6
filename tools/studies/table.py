"""The document of a study as a page for people, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .collect import states
from .settings import BUNDLED_MODEL

# Benchmarks of the paper with a column of their own; the differences are means over all it gives.
_SHOWN = ("A-150", "PC-59")
_MINUS = "\N{MINUS SIGN}"


def page(document: Mapping[str, Any]) -> str:
    """Write the page of a study.

    Args:
        document: of :func:`studies.collect.collect`.
    """
    table = f" (the paper's Table {document['table']})" if document["table"] else ""
    parts = [
        f"# {document['title']}{table}",
        document["question"],
        f"mIoU in percent, mean ± standard deviation over seeds; n: runs. Paper: {_paper_rule()}",
        _accuracy(document),
        f"Difference to “{document['default']}”, seed by seed, mean ± standard deviation:",
        _differences(document),
        "What it takes:",
        _costs(document),
        f"![Each seed, and the mean]({document['study']}.png)",
        "\n".join(f"* {note}" for note in _notes(document)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _paper_rule() -> str:
    return "ViT-B/16 on photographs, so that levels cannot be compared, only differences."


def _accuracy(document: Mapping) -> str:
    keys = list(document["figures"])
    has_paper = any(row["paper"] for row in document["rows"])
    shown = [f"paper {name}" for name in _SHOWN] if has_paper else []

    def cells(row: Mapping) -> list[str]:
        figures = [_spread(row["summary"][key]) for key in keys]
        paper = [_fixed(row["paper"].get(name), 1) for name in _SHOWN] if has_paper else []
        return [_runs(row), *figures, *paper]

    return _table(document, ["n", *keys, *shown], cells)


def _differences(document: Mapping) -> str:
    keys = list(document["figures"])
    has_paper = any(row["paper"] for row in document["rows"])
    default = _default(document)

    def cells(row: Mapping) -> list[str]:
        paper = [_signed(paper_difference(row, default), None)] if has_paper else []
        if row is default:
            return ["" for _ in (*keys, *paper)]
        differences = (row["difference"][key] for key in keys)
        return [*(_difference(one) for one in differences), *paper]

    title = ["paper, mean of its benchmarks"] if has_paper else []
    return _table(document, [*keys, *title], cells)


def paper_difference(row: Mapping, default: Mapping) -> float | None:
    """The paper's difference of two rows, over the benchmarks that it gives for both; else None."""
    common = row["paper"].keys() & default["paper"].keys()
    if not common:
        return None
    return sum(row["paper"][name] - default["paper"][name] for name in common) / len(common)


def _costs(document: Mapping) -> str:
    has_time = any(row["paper_time"] for row in document["rows"])
    shown = [f"paper's time, {name}" for name in _SHOWN] if has_time else []

    def cells(row: Mapping) -> list[str]:
        summary = row["summary"]
        paper = [_fixed(row["paper_time"].get(name), 0) for name in _SHOWN] if has_time else []
        return [
            _spread(summary["training_seconds"], 0),
            _spread(summary["seconds_per_picture"], 3),
            _millions(summary["parameters"]),
            _millions(summary["trained_parameters"]),
            *paper,
        ]

    names = ["training, s", "test, s a picture", "parameters, M", "of them trained, M"]
    return _table(document, [*names, *shown], cells)


def _table(
    document: Mapping, names: Sequence[str], cells: Callable[[Mapping], Sequence[str]]
) -> str:
    lines = [["", *names], ["---", *["---:"] * len(names)]]
    for row in document["rows"]:
        name = f"**{row['name']}**" if row["name"] == document["default"] else row["name"]
        lines.append([name, *cells(row)])
    return "\n".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines
    )


def _notes(document: Mapping) -> list[str]:
    """How the figures were made, and what is wrong with them."""
    settings, config = document["settings"], document["config"]
    iterations = config.get("SOLVER.MAX_ITER", settings["iterations"])
    changes = ", ".join(f"{key} {value}" for key, value in settings["overrides"].items())
    pictures = {
        f"{count} of {name}"
        for row in document["rows"]
        for run in row["runs"]
        for name, count in run.get("pictures", {}).items()
    }
    notes = [
        document["note"],
        f"Seeds {', '.join(map(str, settings['seeds']))}. {iterations} iterations of "
        f"{config.get('SOLVER.IMS_PER_BATCH', '?')} crops each. All rows start from the CLIP of "
        f"`{settings['weights']}` (SHA-256 `{settings['weights_sha256'][:16]}`).",
        "That model was trained to the end, its CLIP together with a default FGAseg, in which all "
        "rows share alike."
        if settings["weights"] == BUNDLED_MODEL
        else "",
        f"Changed for all rows: {changes}." if changes else "",
        f"Pictures: {', '.join(sorted(pictures))}." if pictures else "",
        *map(_environment, document["environments"]),
        f"Made {' to '.join(dict.fromkeys(document['dates']))}." if document["dates"] else "",
        "Training: without start-up. Parameters: with the T2P branch, which only trains.",
    ]
    counts = states(document["rows"])
    if counts["missing"]:
        notes.append(f"**{counts['missing']} runs are missing; the table is not complete.**")
    for row in document["rows"]:
        for run in row["runs"]:
            if run["state"] == "failed":
                where = f"{row['name']}, seed {run['seed']}"
                notes.append(f"**{where}: failed ({run['reason']}); log: `{run['log']}`.**")
    return [note for note in notes if note]


def _environment(found: Mapping) -> str:
    machine, versions = found["machine"], found["versions"]
    device = machine["gpu"] or machine["processor"]
    jobs = "one run" if found["jobs"] == 1 else f"{found['jobs']} runs"
    return (
        f"{device}, {jobs} at once with {machine['threads']} CPU thread"
        f"{'s' if machine['threads'] > 1 else ''} each; PyTorch {versions['torch']}, Detectron2 "
        f"{versions['detectron2']}, fgaseg_d2 {versions['fgaseg_d2']}."
    )


def _default(document: Mapping) -> Mapping:
    return next(row for row in document["rows"] if row["name"] == document["default"])


def _runs(row: Mapping) -> str:
    done = sum(run["state"] == "finished" for run in row["runs"])
    failed = sum(run["state"] == "failed" for run in row["runs"])
    return f"{done}" + (f" ({failed} failed)" if failed else "")


def _spread(found: Mapping | None, digits: int = 1) -> str:
    if found is None:
        return ""
    text = _fixed(found["mean"], digits)
    if found["deviation"] is None:
        return text
    return f"{text} ± {_fixed(found['deviation'], digits)}"


def _difference(found: Mapping | None) -> str:
    return "" if found is None else _signed(found["mean"], found["deviation"])


def _signed(mean: float | None, deviation: float | None) -> str:
    if mean is None:
        return ""
    text = f"{mean:+.1f}".replace("-", _MINUS)
    return text if deviation is None else f"{text} ± {deviation:.1f}"


def _fixed(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _millions(found: Mapping | None) -> str:
    return "" if found is None else f"{found['mean'] / 1e6:.2f}"
