"""The document of a study as a page for people, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from .collect import states
from .settings import BUNDLED_MODEL

# Benchmarks of the paper with a column of their own; the differences are means over all it gives.
_SHOWN = ("A-150", "PC-59")
_MINUS = "\N{MINUS SIGN}"
_PAGE = """\
# {title}{reference}

{question}

mIoU in percent, mean ± standard deviation over seeds; n: runs. Paper: ViT-B/16 on photographs, \
so that levels cannot be compared, only differences.

{accuracy}

Difference to “{default}”, seed by seed, mean ± standard deviation:

{differences}

What it takes:

{costs}

![Each seed, and the mean]({study}.png)

{notes}
"""


def page(document: Mapping[str, Any]) -> str:
    """Write the page of a study, a document of :func:`studies.collect.collect`."""
    rows = document["rows"]
    (default,) = (row for row in rows if row["name"] == document["default"])

    def means(key: str, digits: int = 1) -> list[str]:
        return [_spread(row["summary"][key], digits) for row in rows]

    def paper(of: str, digits: int, title: str) -> dict[str, list[str]]:
        names = _SHOWN if any(row[of] for row in rows) else ()
        return {title + name: [_fixed(row[of].get(name), digits) for row in rows] for name in names}

    def table(columns: Mapping[str, Sequence[str]]) -> str:
        names = [f"**{r['name']}**" if r is default else r["name"] for r in rows]
        columns = {"": [name.replace("|", "\\|") for name in names], **columns}
        align = ("left", *["right"] * (len(columns) - 1))
        return tabulate(columns, "keys", "pipe", colalign=align, disable_numparse=True)

    accuracy = {key: means(key) for key in document["figures"]}
    return _PAGE.format_map(
        {
            **document,
            "reference": f" (the paper's Table {document['table']})" if document["table"] else "",
            "accuracy": table(
                {"n": [_runs(row) for row in rows], **accuracy, **paper("paper", 1, "paper ")}
            ),
            "differences": table(_differences(document, default)),
            "costs": table(
                {
                    "training, s": means("training_seconds", 0),
                    "test, s a picture": means("seconds_per_picture", 3),
                    "parameters, M": [_millions(row["summary"]["parameters"]) for row in rows],
                    "of them trained, M": [
                        _millions(row["summary"]["trained_parameters"]) for row in rows
                    ],
                    **paper("paper_time", 0, "paper's time, "),
                }
            ),
            "notes": "\n".join(f"* {note}" for note in _notes(document) if note),
        }
    )


def _differences(document: Mapping, default: Mapping) -> dict[str, list[str]]:
    rows = document["rows"]
    columns = {
        key: [_signed(**row["difference"][key] or {}) for row in rows]
        for key in document["figures"]
    }
    if any(row["paper"] for row in rows):
        columns["paper, mean of its benchmarks"] = [
            _signed(paper_difference(row, default)) for row in rows
        ]
    place = rows.index(default)
    return {name: [*c[:place], "", *c[place + 1 :]] for name, c in columns.items()}


def paper_difference(row: Mapping, default: Mapping) -> float | None:
    """The paper's difference of two rows, over the benchmarks that it gives for both; else None."""
    common = row["paper"].keys() & default["paper"].keys()
    if not common:
        return None
    return sum(row["paper"][name] - default["paper"][name] for name in common) / len(common)


def _notes(document: Mapping) -> list[str]:
    """How the figures were made, and what is wrong with them; some are empty."""
    settings, config = document["settings"], document["config"]
    runs = [(row["name"], run) for row in document["rows"] for run in row["runs"]]
    iterations = config.get("SOLVER.MAX_ITER", settings["iterations"])
    changes = ", ".join(f"{key} {value}" for key, value in settings["overrides"].items())
    counts = {item for _, run in runs for item in run.get("pictures", {}).items()}
    pictures = ", ".join(sorted(f"{count} of {name}" for name, count in counts))
    missing = states(document["rows"])["missing"]
    return [
        document["note"],
        f"Seeds {', '.join(map(str, settings['seeds']))}. {iterations} iterations of "
        f"{config.get('SOLVER.IMS_PER_BATCH', '?')} crops each. All rows start from the CLIP of "
        f"`{settings['weights']}` (SHA-256 `{settings['weights_sha256'][:16]}`).",
        "That model was trained to the end, its CLIP together with a default FGAseg, in which all "
        "rows share alike."
        if settings["weights"] == BUNDLED_MODEL
        else "",
        f"Changed for all rows: {changes}." if changes else "",
        f"Pictures: {pictures}." if pictures else "",
        *map(_environment, document["environments"]),
        f"Made {' to '.join(dict.fromkeys(document['dates']))}." if document["dates"] else "",
        "Training: without start-up. Parameters: with the T2P branch, which only trains.",
        f"**{missing} runs are missing; the table is not complete.**" if missing else "",
        *(
            f"**{row}, seed {run['seed']}: failed ({run['reason']}); log: `{run['log']}`.**"
            for row, run in runs
            if run["state"] == "failed"
        ),
    ]


def _environment(found: Mapping) -> str:
    machine, versions, jobs = found["machine"], found["versions"], found["jobs"]
    return (
        f"{machine['gpu'] or machine['processor']}, {'one run' if jobs == 1 else f'{jobs} runs'} "
        f"at once with {machine['threads']} CPU thread{'s' if machine['threads'] > 1 else ''} "
        f"each; PyTorch {versions['torch']}, Detectron2 {versions['detectron2']}, fgaseg_d2 "
        f"{versions['fgaseg_d2']}."
    )


def _runs(row: Mapping) -> str:
    counts = states([row])
    return f"{counts['finished']}" + (f" ({counts['failed']} failed)" if counts["failed"] else "")


def _spread(found: Mapping | None, digits: int = 1) -> str:
    if found is None:
        return ""
    deviation = _fixed(found["deviation"], digits)
    return _fixed(found["mean"], digits) + (f" ± {deviation}" if deviation else "")


def _signed(mean: float | None = None, deviation: float | None = None, count: int = 1) -> str:
    if mean is None:
        return ""
    text = f"{mean:+.1f}".replace("-", _MINUS)
    return text if deviation is None else f"{text} ± {deviation:.1f}"


def _fixed(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _millions(found: Mapping | None) -> str:
    return "" if found is None else f"{found['mean'] / 1e6:.2f}"
