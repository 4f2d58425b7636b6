"""What a model takes for one picture, and the words that go with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from torch import Tensor

from ..vocabulary import Vocabulary
from ..vocabulary.dataset_words import LABELLED, class_names, find_metadata, sample_kind
from ..vocabulary.zero_shot import unseen_names


class Sample(TypedDict, total=False):
    """One input of a model; "image" is always there.

    In training a labelled sample has "sem_seg" and "vocabulary", a captioned one "caption", one
    with segments "segments" and "texts".
    """

    image: Tensor  # 3 x H x W, range 0..255, channels in the order of INPUT.FORMAT
    sem_seg: Tensor  # H x W, class numbers or the ignore value; in training
    unlabelled: Tensor  # H x W, bool, pixels whose label is withheld; in transductive training
    caption: str  # what the picture shows, as somebody wrote it
    # M x H x W, bool, may overlap; in inference of any size, or whatever `given_masks` takes.
    segments: Tensor
    texts: list[str]  # what each of the M segments is, as somebody wrote it
    vocabulary: Any  # the words: a Vocabulary, or what `Vocabulary.coerce` takes
    height: int  # of the result, in pixels; the picture's if absent
    width: int
    file_name: str  # where the picture came from
    output: str  # "scores" (the default), "canvas" or "labels", see `requested_output`; "segments"
    scale: float  # a factor on the resolution at which the picture is looked at
    explain: bool  # add "pseudo_masks", "routes" and "views" to the result


def configured_words(words: str, datasets: Sequence[str]) -> Any:
    """What a configuration says to look for: its words, or else its first dataset's metadata.

    Returns:
        What `Vocabulary.coerce` takes; None if there are neither.
    """
    from detectron2.data import DatasetCatalog

    # A demo or a converter builds the model where the training data is not known.
    if words or not datasets or datasets[0] not in DatasetCatalog:
        return words or None
    metadata = find_metadata(datasets[0])
    return metadata if sample_kind(metadata) == LABELLED else None


def configured_unseen(words: str, datasets: Sequence[str]) -> frozenset[str]:
    """The unseen classes of the datasets to train on; see `unseen_names`."""
    from detectron2.data import DatasetCatalog

    found: set[str] = set()
    for name in datasets if words else ():
        # A demo or a converter builds the model where the training data is not known.
        if name in DatasetCatalog and sample_kind(find_metadata(name)) == LABELLED:
            metadata = find_metadata(name)
            found.update(unseen_names(words, class_names(metadata), metadata))
    return frozenset(found)


def words_of(item: Sample, default: Vocabulary | None) -> Vocabulary:
    """The words of an input.

    Raises:
        ValueError: it brings none, and there is no default.
    """
    words = item.get("vocabulary", default)
    if words is None:
        raise ValueError(
            'expected words to look for, got none; put a "vocabulary" into the input, set '
            "MODEL.WORDS.VOCABULARY, or name a dataset with stuff_classes in DATASETS."
        )
    return Vocabulary.coerce(words)


def common_words(inputs: Sequence[Sample], default: Vocabulary | None) -> Vocabulary:
    """The words of a training batch.

    Raises:
        ValueError: there are none, or several vocabularies.
    """
    vocabularies = {words_of(item, default) for item in inputs}
    if len(vocabularies) > 1:
        raise ValueError(
            f"expected one vocabulary in a training batch, got {len(vocabularies)}; the "
            "datasets of DATASETS.TRAIN need the same stuff_classes."
        )
    return vocabularies.pop()


def alike(
    inputs: Sequence[Sample], default: Vocabulary | None, alone: bool
) -> Iterator[tuple[Vocabulary, float, list[int]]]:
    """Inputs that may share a pass: with the same words, looked at alike.

    Args:
        inputs: any number.
        default: words of those that bring none.
        alone: each goes through by itself, as one to be explained always does.

    Yields:
        Words, a factor on the resolution, and numbers of inputs.

    Raises:
        ValueError: see `words_of`.
    """
    groups: dict[tuple, list[int]] = {}
    for index, item in enumerate(inputs):
        words = words_of(item, default)
        single = alone or item.get("explain", False)
        key = (words, item.get("scale", 1.0), index if single else None)
        groups.setdefault(key, []).append(index)
    for (words, scale, _), indices in groups.items():
        yield words, scale, indices
