"""Scores label maps on disk, those of a run or of another program, without a model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

from ..data.labels import DEFAULT_IGNORE_LABEL, LabelSpec, outside_classes, read_tagged_label
from ..data.pair_sizes import Found, check_prediction
from ..io.regular_files import home_path, is_file, kind_of_file
from ..vocabulary import Vocabulary, parsing
from ..wording import few
from .outcome import Evaluation, class_keys
from .predictions import INDEX, SavedPredictions, label_files, read_index, surplus_files
from .tally import NO_EXTRAS, Extras, Tally
from .truth import GroundTruth

logger = logging.getLogger(__name__)


def truth_from_folder(
    name: str, folder: str | Path, classes: str, ignore_label: int | None = None
) -> GroundTruth:
    """Take a folder of true label files.

    Args:
        name: of the test set.
        folder: label files (PNG or TIFF).
        classes: a benchmark (its evaluated classes), or what ``Vocabulary.coerce`` takes.
        ignore_label: None for 255, or 65535 where 255 is a class.

    Raises:
        FileNotFoundError: no such folder or class list.
        ValueError: not a class list, or an ignore label that is a class.
    """
    background = None
    if classes in parsing.benchmark_names():
        content = parsing.read_benchmark(classes)
        names = content.get("evaluation_classes") or [", ".join(c) for c in content["classes"]]
        background = content.get("background_evaluation_class")
    else:
        names = [", ".join(one) for one in Vocabulary.coerce(classes).classes]
    default = outside_classes(DEFAULT_IGNORE_LABEL, len(names))
    ignore_label = default if ignore_label is None else ignore_label
    if 0 <= ignore_label < len(names):
        raise ValueError(
            f"expected an ignore label that is none of the {len(names)} classes, got {ignore_label}"
        )
    files = {stem: str(path) for stem, path in label_files(folder).items()}
    return GroundTruth(LabelSpec(name, tuple(names), ignore_label), files, background)


def match_files(folder: str | Path, truth: GroundTruth) -> SavedPredictions:
    """Find the predictions of a test set in a folder of label files, by name without ending.

    Args:
        folder: label files (PNG or TIFF), named as the pictures; if it has an index, that counts.
        truth: of the test set.

    Raises:
        FileNotFoundError: no such folder, or a picture without a prediction.
        ValueError: several files for one picture, or several pictures of one name.
    """
    folder = home_path(folder)
    if is_file(folder / INDEX):
        saved = read_index(folder)
        if saved.files.keys() == truth.files.keys():
            return SavedPredictions(saved.files, truth, len(truth.files), saved.run, saved.surplus)
    by_stem = label_files(folder)
    stems = {picture: PurePath(picture).stem for picture in truth.files}
    if len(set(stems.values())) < len(stems):
        raise ValueError(
            f"expected pictures of {truth.labels.dataset_name!r} with names of their own, got some "
            f"twice; predictions can then be paired through {INDEX} only"
        )
    missing = sorted(stem for stem in stems.values() if stem not in by_stem)
    if missing:
        raise FileNotFoundError(
            f"expected a prediction for each of {len(stems)} pictures in {folder}, got none for "
            f"{len(missing)}: {few(missing)}"
        )
    files = {picture: by_stem[stem] for picture, stem in stems.items()}
    return SavedPredictions(files, truth, len(truth.files), {}, surplus_files(folder, files))


def score(
    saved: SavedPredictions,
    extras: Extras = NO_EXTRAS,
    progress: Callable[[Iterable[str]], Iterable[str]] = iter,
) -> Evaluation:
    """Score saved predictions, to the figures that the run itself gave.

    Args:
        saved: predictions and truth.
        extras: figures beside the usual ones.
        progress: wraps the names of the pictures, to show how far it is.

    Raises:
        FileNotFoundError: a label file is missing.
        ValueError: a label file that is damaged, of another size, or with a value that is no class.
    """
    truth = saved.truth
    tally = Tally(len(truth.labels.classes), truth.labels.ignore_label, extras)
    missing = [path for path in saved.files.values() if kind_of_file(path) != "a file"]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(saved.files)} predictions do not exist: {few(missing, 3)}; "
            "make them anew, or take away what names them"
        )
    for picture in progress(saved.files):
        path = str(saved.files[picture])
        prediction, tag = read_tagged_label(path)
        true, true_tag = truth.read_tagged(picture)
        check_prediction(
            Found(path, prediction.shape, tag), Found(truth.files[picture], true.shape, true_tag)
        )
        tally.add(path, truth.evaluated(prediction), true)
    name, results = truth.labels.dataset_name, tally.results(truth)
    if absent := tally.missing_classes(truth):
        logger.warning("%s: %s", name, absent)
    single = class_keys(truth.labels.classes)
    return Evaluation(
        name,
        results,
        pictures=len(tally.pictures),
        expected=saved.pictures,
        run=saved.run,
        per_class=tally.per_class(truth),
        of_classes=[key for key in results if key in single],
    )
