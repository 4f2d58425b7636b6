"""What became of samples and splits, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .findings import Findings
from .prepared_files import strangers
from .samples import Family, Listing


@dataclass(frozen=True)
class Outcome:
    """What became of a sample.

    Attributes:
        made: whether its files were written now.
        problems: why it could not be prepared, or what is wrong with its files.
        warnings: what is unusual about it.
    """

    made: bool = False
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitResult:
    """What became of a split of a benchmark.

    Attributes:
        dataset: registered name.
        folder: of the labels.
        official: number of labels that it should have.
        good: labels that are there, with those made now.
        made: labels made now.
        bad: samples that are missing or wrong.
    """

    dataset: str
    folder: Path
    official: int
    good: int
    made: int
    bad: int


def tell_listing(listing: Listing, findings: Findings) -> None:
    """Tell what was found while the samples were listed."""
    for note in listing.notes:
        findings.tell(note)
    for warning in listing.warnings:
        findings.warning(warning)
    for problem in listing.problems:
        findings.problem(problem)


def told(outcomes: Iterable[Outcome], findings: Findings) -> list[Outcome]:
    """Tell what was found with each sample as it comes; returns them all."""
    result = []
    for outcome in outcomes:
        for problem in outcome.problems:
            findings.problem(problem)
        for warning in outcome.warnings:
            findings.warning(warning)
        result.append(outcome)
    return result


def summarise(
    family: Family,
    root: Path,
    split: str,
    *,
    listing: Listing,
    outcomes: list[Outcome],
    findings: Findings,
) -> list[SplitResult]:
    """Count what is there and name what lies beside it.

    Args:
        family: of benchmarks.
        root: of the datasets.
        split: name of one in BENCHMARKS.
        listing: the samples of the split.
        outcomes: what became of each.
        findings: takes files that do not belong there, and counts that are not the official ones.

    Returns:
        One result for each benchmark of the family.
    """
    expected = (path for sample in listing.samples for path in sample.products)
    others, foreign = strangers(expected, family.product_folders(root, split))
    for path in others:
        findings.problem(f"{path}: belongs to no raw file of the split; remove it")
    if foreign:
        findings.warning(
            f"{foreign[0].parent}: {len(foreign)} files of another program, such as "
            f"{foreign[0].name}; nothing here reads them"
        )
    bad = sum(bool(outcome.problems) for outcome in outcomes)
    good, made = len(outcomes) - bad, sum(outcome.made for outcome in outcomes)
    results = []
    for name, folders in family.splits(split).items():
        dataset, folder = f"{name}_{split}", root / folders.label_dir
        if good != folders.count:
            findings.warning(f"{dataset}: {good:,} good labels, officially {folders.count:,}")
        result = SplitResult(
            dataset,
            folder,
            official=folders.count,
            good=good,
            made=made,
            bad=bad + len(listing.problems),
        )
        results.append(result)
    return results
