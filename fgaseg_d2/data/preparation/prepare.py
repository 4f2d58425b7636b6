"""Prepares what is not prepared yet of a split."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from ...io.file_errors import explained
from ...io.partial_files import remove_leftovers
from ...parallel import each
from .findings import Findings
from .outcomes import Outcome, SplitResult, summarise, tell_listing, told
from .prepared_files import is_whole, only_run, write
from .samples import Family, Sample


def prepare_split(
    family: Family, root: Path, split: str, workers: int, findings: Findings
) -> list[SplitResult]:
    """Prepare the samples whose files are not there whole.

    Args:
        family: of benchmarks.
        root: of the datasets.
        split: name of one in BENCHMARKS.
        workers: number of processes.
        findings: takes what is wrong with single files; the others are prepared all the same.

    Returns:
        One result for each benchmark of the family.

    Raises:
        RawDataMissingError, FileNotFoundError, ValueError: as :meth:`Family.find`.
        OSError: a file cannot be written; those that are written stay.
    """
    listing = family.find(root, split)
    tell_listing(listing, findings)
    folders = family.product_folders(root, split)
    with only_run(folders, findings.tell):
        _sweep(folders)
        results = each(
            partial(_prepare, family), listing.samples, workers, f"{family.name} {split}"
        )
        try:
            outcomes = told(results, findings)
        finally:
            # Of processes that were killed, perhaps for want of memory.
            _sweep(folders)
    return summarise(family, root, split, listing=listing, outcomes=outcomes, findings=findings)


def _prepare(family: Family, sample: Sample) -> Outcome:
    bits = max(table.bits for table in family.tables.values())
    if all(is_whole(path, bits) for path in sample.products):
        return Outcome()
    try:
        contents = family.convert(sample)
    except (ValueError, OSError) as error:
        return Outcome(problems=(explained(error),))
    for path, array in contents.items():
        write(path, array)
    # Such a label changes no score, and without it the lists of the benchmarks would differ.
    empty = tuple(
        f"{sample.labels[name]}: every pixel is ignored"
        for name, table in family.tables.items()
        if (contents[sample.labels[name]] == table.ignore_label).all()
    )
    return Outcome(made=True, warnings=empty)


def _sweep(folders: Iterable[Path]) -> None:
    for folder in folders:
        remove_leftovers(folder)
