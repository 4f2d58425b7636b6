"""Files that say what an evaluation came to, for scripts, spreadsheets and people.

In the output folder: results.json, results.csv and results.md over all test sets that were
evaluated there in the same way, and in inference/<test set>/ evaluation.json and per_class.csv.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..io.files import atomic_path, write_json
from ..io.json_files import read_json
from .markdown import results_page
from .outcome import Evaluation
from .published import table_position

_DETAILS = "evaluation.json"
_LONGEST_NAME = 255  # bytes of a file's name on the usual file systems


def inference_folder(output: str | os.PathLike[str], dataset: str) -> Path:
    """Where the files of a test set go: a folder of its name.

    Args:
        output: folder of all results.
        dataset: name of the test set.

    Raises:
        ValueError: no folder can have this name, or one elsewhere would.
    """
    separators = {os.sep, os.altsep} - {None}
    reason = ""
    if not dataset.strip() or dataset in (os.curdir, os.pardir):
        reason = "is no name of a folder"
    elif any(character in separators or not character.isprintable() for character in dataset):
        reason = f"has characters that the name of a folder cannot have ({os.sep}, line breaks)"
    elif len(os.fsencode(dataset)) > _LONGEST_NAME:
        reason = f"is longer than {_LONGEST_NAME} bytes"
    if reason:
        shown = dataset if len(dataset) <= 60 else f"{dataset[:57]}..."
        raise ValueError(
            f"expected a test set whose results can go into a folder of its name, but {shown!r} "
            f"{reason}; register it under another, such as {_folder_name(dataset)!r}"
        )
    return Path(output) / "inference" / dataset


def _folder_name(dataset: str) -> str:
    words = re.findall(r"\w+", dataset)
    return "_".join(words)[:60] or "my_val"


def write_report(folder: str | Path, evaluation: Evaluation) -> str:
    """Write the files of one test set, and those over all sets evaluated here in the same way.

    Args:
        folder: made if it is not there. What earlier evaluations left is kept in the tables if
            their ``run`` is the same, else replaced.
        evaluation: of the test set.

    Returns:
        The table as Markdown.

    Raises:
        OSError: a file cannot be written; those that were there are whole.
        ValueError: as :func:`inference_folder`.
    """
    folder = Path(folder)
    own = inference_folder(folder, evaluation.dataset)
    if evaluation.per_class:
        _write_csv(own / "per_class.csv", evaluation.per_class)
    write_json(own / _DETAILS, _plain(asdict(evaluation)))
    others = [found for found in _earlier(folder) if found.run == _plain(evaluation.run)]
    # As read back, so that a table does not depend on which of its sets was evaluated last.
    evaluations = sorted(others, key=lambda found: table_position(found.dataset))
    write_json(folder / "results.json", {one.dataset: _summary(one) for one in evaluations})
    _write_csv(folder / "results.csv", [_csv_row(one) for one in evaluations])
    page = results_page(evaluations)
    _write_text(folder / "results.md", page)
    return page


def _earlier(folder: Path) -> list[Evaluation]:
    """What lies in the folder of the output, damaged files left out."""
    found = []
    for path in (folder / "inference").glob(f"*/{_DETAILS}"):
        try:
            found.append(Evaluation.from_plain(read_json(path)))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    """The entry of results.json."""
    return {**evaluation.results, "pictures": evaluation.pictures}


def _csv_row(evaluation: Evaluation) -> dict[str, Any]:
    """The row of results.csv: all figures but those of single classes."""
    return {
        "dataset": evaluation.dataset,
        "pictures": evaluation.pictures,
        **evaluation.summary,
    }


def _plain(value: Any) -> Any:
    """Replace what JSON cannot say (no number: a class that does not occur) by null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row) for row in rows)
    _write_text(path, text.getvalue())


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        # The path of weights may be no UTF-8.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
