"""Reads what the metadata of datasets that are registered in Detectron2 say of classes and words.

Keys of this package stand together under one of its own, :data:`OWN_KEY`, because other projects
use the same names with other meanings: their ``background_class`` is the index of the background,
their ``unseen_classes`` may be numbers. Outside of it such a key is read only where it can mean
nothing else.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence, Sized
from typing import Any, TypeVar

from ..wording import shown, warn_once
from .catalog import current_catalog
from .parsing import clean_class, listed, same_name

Words = TypeVar("Words", bound=Sized)

OWN_KEY = "fgaseg_d2"
logger = logging.getLogger(__name__)
_OWN = ("vocabulary", "background_class", "unseen_classes", "kind")
# What the records of a dataset are: a picture with a label map, with texts that describe it, or
# with segments that have texts.
LABELLED, CAPTIONED, SEGMENTED = "labelled", "captioned", "segmented"
KINDS = (LABELLED, CAPTIONED, SEGMENTED)


def own_metadata(metadata: Any) -> Mapping[str, Any]:
    """What a dataset's metadata say under the key of this package; empty where they do not.

    Args:
        metadata: the dataset's ``detectron2.data.Metadata``.

    Raises:
        ValueError: something else than keys that are known.
    """
    own = metadata.get(OWN_KEY)
    if own is None:
        return {}
    where = f"the metadata {OWN_KEY} of dataset {shown(metadata.get('name'))}"
    if not isinstance(own, Mapping):
        raise ValueError(f"expected {where} to be a dict, got {shown(own)}; its keys are {_keys()}")
    for key in own:
        if key not in _OWN:
            near = difflib.get_close_matches(str(key), _OWN, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"they are {_keys()}"
            raise ValueError(f"expected keys of {where} that are known, got {shown(key)}; {hint}")
    return own


def sample_kind(metadata: Any) -> str:
    """Which of :data:`KINDS` a dataset's samples are; "labelled" where its metadata do not say.

    Args:
        metadata: the dataset's ``detectron2.data.Metadata``.

    Raises:
        ValueError: something else.
    """
    kind = own_metadata(metadata).get("kind", LABELLED)
    if kind not in KINDS:
        raise ValueError(
            f"expected the kind of dataset {shown(metadata.get('name'))} to be one of "
            f"{', '.join(KINDS)}, got {shown(kind)}; correct the metadata {OWN_KEY}"
        )
    return kind


def class_names(metadata: Any) -> tuple[str, ...]:
    """The ``stuff_classes`` of a dataset, empty where it has none.

    Args:
        metadata: its ``detectron2.data.Metadata``; the classes may be any sequence, a NumPy array
            too.

    Raises:
        ValueError: not a sequence of names; the message has the dataset's.
    """
    return _names(metadata.get("stuff_classes"), "stuff_classes", metadata)


def background_class(metadata: Any, classes: int, only_own: bool = False) -> int | None:
    """From which index on every prediction counts as this class; None for predictions as they are.

    Args:
        metadata: the dataset's ``detectron2.data.Metadata``.
        classes: how many it has.
        only_own: leave out a key outside of :data:`OWN_KEY`. It is read where it names the last
            class: to other projects that is the index of the background, and predictions of the
            dataset's own classes stay as they are under either meaning.

    Raises:
        ValueError: not a whole number.
    """
    own = own_metadata(metadata).get("background_class")
    if own is not None:
        return whole_number(own, "background_class", metadata)
    other = metadata.get("background_class")
    is_last = isinstance(other, int) and other == classes - 1
    return classes - 1 if is_last and not only_own else None


def unseen_classes(metadata: Any) -> tuple[str, ...]:
    """Names of the classes that training did not show; empty for no such split.

    A key outside of :data:`OWN_KEY` is read if it names classes of the dataset.

    Raises:
        ValueError: not names.
    """
    own = own_metadata(metadata).get("unseen_classes")
    if own is not None:
        return _names(own, "unseen_classes", metadata)
    other = metadata.get("unseen_classes")
    if other is None:
        return ()
    try:
        names = _names(other, "unseen_classes", metadata)
    except ValueError:
        names = None
    if names is None or not set(names) <= set(class_names(metadata)):
        _tell_ignored("unseen_classes", metadata, "it does not name classes of the dataset")
        return ()
    return names


def metadata_vocabulary(metadata: Any, read: Callable[[Any], Words]) -> Words | None:
    """The words that stand for the classes of a registered dataset, None for none but the classes.

    A ``vocabulary`` outside of :data:`OWN_KEY` is taken if it needs no reading, or can be read as a
    word for each class.

    Args:
        metadata: a dataset's name, or its ``detectron2.data.Metadata``.
        read: makes a vocabulary of what the metadata say, or returns it if it is one; its length is
            the number of classes.

    Raises:
        ValueError: unknown dataset, one that names itself, or words that cannot be read.
    """
    metadata = find_metadata(metadata)
    own, other = own_metadata(metadata).get("vocabulary"), metadata.get("vocabulary")
    words = other if own is None else own
    if isinstance(words, str) and words == metadata.get("name"):
        raise ValueError(
            f"expected words as the vocabulary of dataset {shown(words)}, got its own name"
        )
    if words is None:
        return None
    wanted = len(class_names(metadata))
    if own is not None or not wanted:
        return read(words)
    reason = "it cannot be read as words"
    with contextlib.suppress(ValueError, OSError, TypeError):
        found = read(words)
        reason = f"it has {len(found)} words for {wanted} classes"
        may_be_more = background_class(metadata, wanted) is not None
        # A single word may be anything, such as the name of something else.
        is_name = len(found) == 1 and isinstance(words, str)
        fits = len(found) == wanted and not is_name
        if found is words or fits or (len(found) > wanted and may_be_more):
            return found
    _tell_ignored("vocabulary", metadata, reason)
    return None


def read_metadata(metadata: Any) -> list[tuple[str, ...]]:
    """Read the ``stuff_classes`` of a registered dataset, split into names at comma and blank.

    Args:
        metadata: a dataset's name, or its ``detectron2.data.Metadata``.

    Raises:
        ValueError: unknown dataset, or one without ``stuff_classes``.
    """
    metadata = find_metadata(metadata)
    names = class_names(metadata)
    if not names:
        raise ValueError(
            f"expected stuff_classes in the metadata of dataset {shown(metadata.get('name'))}, "
            "got none;"
            " set MetadataCatalog.get(name).stuff_classes to the list of its class names"
        )
    classes = [tuple(name.split(", ")) for name in names]
    try:
        for one in classes:
            clean_class(one)
    except ValueError as error:
        raise ValueError(f"dataset {shown(metadata.get('name'))}: stuff_classes: {error}") from None
    return classes


def first_names(classes: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """One name for each class: the first, or all joined where only the others tell it apart.

    Args:
        classes: names of each class, such as ("building", "edifice").
    """
    pairs = [(", ".join(names), names[0]) for names in classes]
    distinct = {same_name(full): same_name(first) for full, first in pairs}
    meanings = Counter(distinct.values())
    return [(full if meanings[same_name(first)] > 1 else first,) for full, first in pairs]


def is_dataset(words: object) -> bool:
    """Whether this is the name of a dataset registered in Detectron2, or a dataset's metadata."""
    return current_catalog().knows(words)


def find_metadata(metadata: Any) -> Any:
    """The metadata of a dataset's name; metadata as they are.

    Raises:
        ValueError: no dataset has this name.
    """
    if not isinstance(metadata, str):
        return metadata
    known = current_catalog().names()
    if metadata not in known:
        near = difflib.get_close_matches(metadata, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "register it before"
        raise ValueError(
            f"expected the name of a registered dataset, got {shown(metadata)}; {hint}"
        )
    return current_catalog().metadata(metadata)


def whole_number(value: Any, key: str, metadata: Any) -> int:
    """Return a number of the metadata, which may be one of NumPy's.

    Raises:
        ValueError: not a whole number; the message has the dataset's name.
    """
    try:
        number = int(value)
        if number == value and not isinstance(value, (bool, str, bytes)):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f"dataset {shown(metadata.get('name'))}: expected {key} to be a whole number, got "
        f"{shown(value)}; "
        "correct the metadata"
    )


def _names(names: Any, key: str, metadata: Any) -> tuple[str, ...]:
    if names is None:
        return ()
    found: tuple[Any, ...] = (None,)
    # What is read once only would be empty the next time.
    if not isinstance(names, Iterator):
        with contextlib.suppress(TypeError, ValueError):
            found = tuple(names) if isinstance(names, KeysView) else listed(names, key)
    if not all(isinstance(name, str) for name in found):
        raise ValueError(
            f"dataset {shown(metadata.get('name'))}: expected {key} as a list of names, got "
            f"{shown(names, 80)} ({type(names).__name__}); correct the metadata"
        )
    # NumPy's strings are written as themselves into files.
    return tuple(map(str, found))


def _tell_ignored(key: str, metadata: Any, reason: str) -> None:
    warn_once(
        logger,
        f"dataset {shown(metadata.get('name'))}: its metadata {key} is left out as another "
        f"project's: {reason}. If it was meant for this one, set {OWN_KEY}={{{shown(key)}: ...}}",
    )


def _keys() -> str:
    return ", ".join(map(repr, _OWN))
