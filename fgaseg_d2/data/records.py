"""What the loading function of a registered dataset returns: one dict a picture."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from detectron2.data import DatasetCatalog, MetadataCatalog

from ..vocabulary.dataset_words import CAPTIONED, LABELLED, SEGMENTED, sample_kind
from ..wording import in_one_line, shown
from .shards.records import ShardRecords

_Records = TypeVar("_Records", bound=Sequence)

# What a record of each kind has beside "file_name", and what that is.
CONTENT = {
    LABELLED: ("sem_seg_file_name", "a label file for semantic segmentation"),
    CAPTIONED: ("captions", "a list of texts, at least one"),
    SEGMENTED: ("segments", "a list of segments, at least one"),
}

# All records by dataset, while `listed_once` is open.
_kept: ContextVar[dict[str, Sequence[dict]] | None] = ContextVar("kept records", default=None)


@contextlib.contextmanager
def listed_once() -> Iterator[None]:
    """Keep the records of each dataset from the first time they are asked for until the end.

    An evaluation checks a test set, loads it and scores against it. Detectron2 knows these steps by
    a configuration and a name, so that none of them can hand the records to the next; and a loading
    function may read folders of many thousand files. Of several inside each other the outer one
    counts.
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def dataset_kind(dataset_name: str) -> str:
    """Which kind the samples of a registered dataset are; see `sample_kind`."""
    require_registered(dataset_name)
    return sample_kind(MetadataCatalog.get(dataset_name))


def require_registered(dataset_name: str) -> None:
    """Raise a ValueError with the nearest names unless the DatasetCatalog knows the name."""
    known = DatasetCatalog.list()
    if dataset_name in known:
        return
    near = difflib.get_close_matches(dataset_name, known, n=3, cutoff=0.4)
    hint = f"the nearest names are {', '.join(near)}" if near else "no registered name is near"
    raise ValueError(
        f"dataset {shown(dataset_name)} is not registered; {hint}. Register your own with "
        "DATASETS.FOLDERS, or in a module given by --import"
    )


def dataset_records(dataset_name: str, most: int = 0) -> Sequence[dict]:
    """List the samples of a registered dataset.

    Args:
        dataset_name: name in the DatasetCatalog.
        most: only the first, this many; 0 for all.

    Returns:
        Dicts that all have ``file_name`` and what belongs to their kind (:data:`CONTENT`), as a
        list, or of shards as one that reads each when it is asked for; files
        are text or path objects as the dataset gives them: other evaluators look pictures up by
        these.

    Raises:
        ValueError: not registered, empty, a record without what it needs, or a negative number.
        FileNotFoundError: as the dataset's own loading function says.
    """
    if most < 0:
        raise ValueError(
            f"expected TEST.MAX_PICTURES of 0 (all pictures of a test set) or more, got {most}"
        )
    kept = _kept.get()
    if kept is None:
        return _list(dataset_name)[: most or None]
    if dataset_name not in kept:
        kept[dataset_name] = _list(dataset_name)
    return kept[dataset_name][: most or None]


def check_captions(dataset_name: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Check the captions of a dataset's records.

    Raises:
        ValueError: one is no text, or an empty one.
    """
    for position, record in enumerate(records):
        for caption in record["captions"]:
            if not isinstance(caption, str) or not caption.strip():
                raise ValueError(
                    f"dataset {shown(dataset_name)}: record {position} "
                    f"({shown(record['file_name'])}): expected captions as texts, got "
                    f"{shown(caption)}; correct its loading function"
                )


def _list(dataset_name: str) -> Sequence[dict]:
    """Call the loading function of a dataset, and check what it returns."""
    require_registered(dataset_name)
    records = DatasetCatalog.get(dataset_name)
    if isinstance(records, ShardRecords):
        # Millions of them, made by this package.
        return _not_empty(records, dataset_name)
    if not isinstance(records, Iterable) or isinstance(records, (str, bytes, Mapping)):
        raise ValueError(
            f"dataset {shown(dataset_name)}: expected its loading function to return a list of "
            f"records, got {shown(records)}; correct it"
        )
    records = _not_empty(list(records), dataset_name)
    kind = dataset_kind(dataset_name)
    for position, record in enumerate(records):
        _check_record(record, kind, f"dataset {shown(dataset_name)}: record {position}")
    return records


def _not_empty(records: _Records, dataset_name: str) -> _Records:
    if not len(records):
        raise ValueError(
            f"dataset {shown(dataset_name)} is empty; check the folders it was made from"
        )
    return records


def _check_record(record: Any, kind: str, where: str) -> None:
    if not isinstance(record, Mapping):
        raise ValueError(f"{where}: expected a dict, got {shown(record)}")
    content, meaning = CONTENT[kind]
    for key in ("file_name", content):
        found = record.get(key)
        if found is None or (isinstance(found, (str, bytes, list, tuple)) and not found):
            raise ValueError(
                f"{where} ({in_one_line(str(record.get('file_name', 'no file_name')), 120)}) has "
                f"no {key}; every picture needs {meaning}"
            )
        is_list = key == content and kind != LABELLED
        wanted = (list, tuple) if is_list else (str, bytes, os.PathLike)
        if not isinstance(found, wanted):
            expected = meaning if is_list else "a path"
            raise ValueError(f"{where}: expected {key} as {expected}, got {shown(found)}")
