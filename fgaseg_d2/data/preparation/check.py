"""Checks the prepared files of a split without writing anything."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from ...io.file_errors import explained
from ...io.orientation import UPRIGHT
from ...parallel import each
from .findings import Findings
from .outcomes import Outcome, SplitResult, summarise, tell_listing, told
from .prepared_files import is_whole, leftovers
from .raw_files import check_orientation, read_png, tagged_picture_size
from .samples import Family, Listing, Sample
from .value_table import ValueTable

# Pillow has called PNGs of 16 bits by several names.
_MODES = {8: ("L",), 16: ("I;16", "I", "I;16B")}
_ADVICE = "remove it and prepare again"


def check_split(
    family: Family, root: Path, split: str, workers: int, findings: Findings
) -> list[SplitResult]:
    """Read every prepared file of a split and compare it with its picture.

    Without the raw files, the samples are those that have a prepared label, or a picture in a
    folder of this split alone.

    Args:
        family: of benchmarks.
        root: of the datasets.
        split: name of one in BENCHMARKS.
        workers: number of processes.
        findings: takes what is missing, damaged or too much.

    Returns:
        One result for each benchmark of the family.

    Raises:
        FileNotFoundError: nothing is prepared.
        ValueError: as :meth:`Family.find`.
    """
    listing = _listing(family, root, split)
    tell_listing(listing, findings)
    folders = family.product_folders(root, split)
    for path in leftovers(folders):
        findings.problem(f"{path}: left by an interrupted run; prepare again")
    results = each(
        partial(_check, family), listing.samples, workers, f"checking {family.name} {split}"
    )
    outcomes = told(results, findings)
    return summarise(family, root, split, listing=listing, outcomes=outcomes, findings=findings)


def _listing(family: Family, root: Path, split: str) -> Listing:
    try:
        listing = family.find(root, split)
    except FileNotFoundError as error:
        listing = family.prepared(root, split)
        if not listing.samples:
            raise
        listing.notes.append(f"{family.name} {split}: compared with the pictures only, as {error}")
    for folder in family.product_folders(root, split):
        if not folder.is_dir():
            raise FileNotFoundError(f"expected prepared files in {folder}, found no such folder")
    return listing


def _check(family: Family, sample: Sample) -> Outcome:
    problems = []
    size, tag = None, UPRIGHT
    try:
        size, tag = tagged_picture_size(sample.picture)
    except (ValueError, OSError) as error:
        problems.append(explained(error))
    for name, table in family.tables.items():
        try:
            _check_label(sample.labels[name], table, size)
            if size is not None:
                check_orientation(sample.picture, sample.labels[name], size, tag)
        except (ValueError, OSError) as error:
            problems.append(explained(error))
    return Outcome(problems=tuple(problems))


def _check_label(path: Path, table: ValueTable, size: tuple[int, int] | None) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a prepared label, found nothing; prepare again")
    label = read_png(path, _MODES[table.bits], f"a grey PNG of {table.bits} bits")
    if not is_whole(path, table.bits):
        raise ValueError(f"{path}: expected a whole grey PNG of {table.bits} bits; {_ADVICE}")
    if size not in (None, label.shape):
        raise ValueError(
            f"{path}: expected the size of its picture ({size[1]} x {size[0]}), got "
            f"{label.shape[1]} x {label.shape[0]}; {_ADVICE}"
        )
    illegal = label[(label >= table.num_classes) & (label != table.ignore_label)]
    if illegal.size:
        raise ValueError(
            f"{path}: expected classes 0 .. {table.num_classes - 1} or {table.ignore_label}, got "
            f"{np.unique(illegal)[:5].tolist()} ({illegal.size} px); {_ADVICE}"
        )
