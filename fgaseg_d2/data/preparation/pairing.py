"""Pairs raw labels with pictures where each has a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from .raw_files import files_in
from .samples import Family, Listing


def pair_folders(
    family: Family,
    root: Path,
    split: str,
    raw_folder: Path,
    picture_folder: Path,
    *,
    is_label: Callable[[str], bool] = bool,
) -> Listing:
    """Pair the PNGs of one folder with the JPEGs of another by their names.

    Args:
        family: makes the samples.
        root: of the datasets.
        split: name of one in BENCHMARKS.
        raw_folder: with the raw labels.
        picture_folder: with the pictures.
        is_label: of a stem, whether it is a label's; other PNGs are those of other programs.

    Returns:
        Samples of the pairs; everything else in the folders is a problem.

    Raises:
        FileNotFoundError: a folder holds no such files.
        ValueError: no label fits a picture.
    """
    labels, pictures = files_in(raw_folder, ".png"), files_in(picture_folder, ".jpg")
    labels.found = {stem: path for stem, path in labels.found.items() if is_label(stem)}
    for folder, files, ending in (
        (raw_folder, labels.found, ".png"),
        (picture_folder, pictures.found, ".jpg"),
    ):
        if not files:
            deeper = next(folder.rglob(f"*{ending}"), None)
            hint = f" (but {deeper.parent} has some: move them up)" if deeper else ""
            raise FileNotFoundError(f"expected *{ending} files in {folder}, found none{hint}")
    paired = sorted(labels.found.keys() & pictures.found.keys())
    if not paired:
        raise ValueError(
            f"expected pictures and labels of the same names, but none of {raw_folder} fits one of "
            f"{picture_folder}; unpack both archives of the same split"
        )
    listing = Listing(
        [family.sample(root, split, stem, labels.found[stem]) for stem in paired],
        unexpected([*labels.strangers, *pictures.strangers]),
    )
    listing.problems += unpaired(labels.found, pictures.found)
    return listing


def unexpected(paths: Iterable[Path]) -> list[str]:
    """A problem for each file that does not belong into its folder."""
    return [f"{path}: does not belong here; remove it" for path in paths]


def unpaired(labels: dict[str, Path], pictures: dict[str, Path]) -> list[str]:
    """A problem for each label without a picture and each picture without a label, by stem."""
    return [
        f"{files[stem]}: expected {other} of the same name, found none; unpack both anew, or "
        "remove it"
        for files, others, other in (
            (labels, pictures, "a picture"),
            (pictures, labels, "a label"),
        )
        for stem in sorted(files.keys() - others.keys())
    ]


def with_pictures(listing: Listing) -> Listing:
    """Turn samples whose raw files are not there into problems."""
    complete = []
    for sample in listing.samples:
        missing = [p for p in (sample.raw_label, sample.raw_picture) if not p.exists()]
        listing.problems += [
            f"{path}: expected it for {sample.stem}, found nothing; unpack it anew"
            for path in missing
        ]
        if not missing:
            complete.append(sample)
    listing.samples = complete
    return listing
