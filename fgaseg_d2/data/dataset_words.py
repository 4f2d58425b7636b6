"""Which words the model gets for a dataset, and whether they fit its labels."""

from __future__ import annotations

import dataclasses
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from ..vocabulary import Vocabulary
from ..vocabulary import dataset_words as metadata_words
from ..vocabulary.parsing import same_name
from ..vocabulary.sources import split_classes
from ..vocabulary.vocabulary import BACKGROUND
from ..wording import shown
from .labels import LabelSpec


def training_vocabulary(labels: LabelSpec, all_names: bool = False) -> Vocabulary:
    """The dataset's own words, to train on its labels.

    Args:
        labels: of the dataset.
        all_names: see `Vocabulary.from_metadata`.

    Raises:
        ValueError: not one word for each class of the labels.
    """
    vocabulary = Vocabulary.from_metadata(labels.dataset_name, all_names)
    if len(vocabulary.classes) != len(labels.classes):
        raise ValueError(
            f"cannot train on {shown(labels.dataset_name)}: its labels have {len(labels.classes)} "
            f"classes, its vocabulary {len(vocabulary.classes)}; both must be equal in training"
        )
    return vocabulary


def evaluation_vocabulary(cfg: CfgNode, labels: LabelSpec) -> Vocabulary:
    """The words to evaluate a dataset with: of DATASETS.TEST_VOCABULARIES, or its own.

    Args:
        cfg: DATASETS.TEST, DATASETS.TEST_VOCABULARIES, TEST.BACKGROUND_THRESHOLD and
            TEST.BACKGROUND_WORDS are used.
        labels: of a dataset, which need not be in DATASETS.TEST.

    Raises:
        FileNotFoundError: no such vocabulary file.
        ValueError: not a vocabulary, more or fewer of them than datasets, or words that do not fit
            the labels.
    """
    words = _chosen_words(cfg, labels.dataset_name)
    try:
        vocabulary = Vocabulary.coerce(words or MetadataCatalog.get(labels.dataset_name))
    except (FileNotFoundError, ValueError) as error:
        if not words:
            raise
        raise type(error)(f"DATASETS.TEST_VOCABULARIES: {error}") from None
    if vocabulary.classes[0] == (BACKGROUND,):
        vocabulary = _with_background(vocabulary, cfg)
    _check_fit(vocabulary, labels, words)
    return vocabulary


def _with_background(vocabulary: Vocabulary, cfg: CfgNode) -> Vocabulary:
    """Words whose first class is background -> the others, and what background is instead.

    Source: SCLIP's and NACLIP's code has words and a threshold for it, TCL's the threshold alone.
    """
    threshold, given = cfg.TEST.BACKGROUND_THRESHOLD, cfg.TEST.BACKGROUND_WORDS
    if not threshold and not given.strip():
        return vocabulary
    rest = dataclasses.replace(vocabulary, classes=vocabulary.classes[1:])
    try:
        words = [name for names in split_classes(given) for name in names] if given.strip() else []
        taken = {same_name(name) for names in rest.classes for name in names}
        free = [word for word in words if same_name(word) not in taken]
        if not free and not threshold:
            raise ValueError("expected words that are no class, got classes alone; add others")
        return rest.with_background(free, threshold)
    except ValueError as error:
        raise ValueError(f"TEST.BACKGROUND_WORDS {shown(given)}: {error}") from None


def with_test_set(cfg: CfgNode, dataset_name: str) -> CfgNode:
    """Return the configuration with one of its test sets and the words chosen for it.

    Args:
        cfg: not changed.
        dataset_name: one of DATASETS.TEST.
    """
    words = _chosen_words(cfg, dataset_name)
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATASETS.TEST = (dataset_name,)
    cfg.DATASETS.TEST_VOCABULARIES = (words,)
    cfg.freeze()
    return cfg


def _chosen_words(cfg: CfgNode, dataset_name: str) -> Any:
    names, words = list(cfg.DATASETS.TEST), list(cfg.DATASETS.TEST_VOCABULARIES)
    if not words or dataset_name not in names:
        return ""
    if len(words) != len(names):
        raise ValueError(
            f"expected one item of DATASETS.TEST_VOCABULARIES for each of the {len(names)} "
            f"datasets of DATASETS.TEST, got {len(words)}; '' stands for a dataset's own words"
        )
    if names.count(dataset_name) > 1:
        raise ValueError(
            f"expected each dataset once in DATASETS.TEST, got {shown(dataset_name)} "
            f"{names.count(dataset_name)} times; evaluate other words in another run"
        )
    return words[names.index(dataset_name)]


def _check_fit(vocabulary: Vocabulary, labels: LabelSpec, words: Any) -> None:
    """Every channel of the scores is a class of the labels, or one of the background's words."""
    count, wanted = len(vocabulary), len(labels.classes)
    metadata = MetadataCatalog.get(labels.dataset_name)
    background = metadata_words.background_class(metadata, wanted, only_own=bool(words))
    fits = count == wanted if background is None else count > background
    if fits:
        return
    expected = f"{wanted} classes" if background is None else f"more than {background} classes"
    source = f"DATASETS.TEST_VOCABULARIES {shown(words)}" if words else "its vocabulary"
    raise ValueError(
        f"expected {expected} for the labels of {shown(labels.dataset_name)}, got {count} from "
        f"{source}; the classes must be those of the labels, in their order"
    )
