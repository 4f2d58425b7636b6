"""SBD, the Semantic Boundaries Dataset: masks of more of VOC's pictures than VOC itself has.

Source: http://home.bharathh.info/pubs/codes/SBD/download.html (Hariharan et al., ICCV 2011).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from .locating import Part, hint
from .matlab_files import label_map, read_variable
from .raw_files import read_ids

_OWN = "VOCdevkit/VOCaug/dataset"
_READY_MADE = "VOCdevkit/VOC2012/SegmentationClassAug"
_LISTS = "VOCdevkit/VOC2012/ImageSets/Segmentation"
_VARIABLE, _FIELD = "GTcls", "Segmentation"


def find_masks(root: Path) -> tuple[Path, str]:
    """Where the masks are: SBD's own, or those that others made PNGs of.

    Args:
        root: of the datasets.

    Returns:
        The folder, and the ending of its files, ".mat" or ".png".

    Raises:
        FileNotFoundError: neither is there.
    """
    for relative, ending in ((f"{_OWN}/cls", ".mat"), (_READY_MADE, ".png")):
        if (root / relative).is_dir():
            return root / relative, ending
    near = hint(root, Part("SBD's masks", f"{_OWN}/cls", ".mat"))
    raise FileNotFoundError(
        f"expected SBD's masks at {root / _OWN / 'cls'}, found nothing{near}; ready-made PNGs in "
        f"{root / _READY_MADE} would do"
    )


def listed_ids(root: Path, held_out: Collection[str]) -> tuple[list[str], list[str], str]:
    """The ids of the pictures to train on, from the first list that is there.

    Args:
        root: of the datasets.
        held_out: ids of pictures that must not be trained on. SBD's own lists have some, which are
            left out; in a list that was made for training they are wrong.

    Returns:
        The ids, what is wrong with others, and a note that says where they come from.

    Raises:
        FileNotFoundError, ValueError: there is no list, or none that can be read.
    """
    for name in ("trainaug.txt", "aug.txt"):
        path = root / _LISTS / name
        if path.is_file():
            ids, problems = read_ids(path)
            free, wrong = without_held_out(ids, held_out, str(path))
            return free, problems + wrong, f"{len(free):,} ids from {path}"
    paths = [root / _OWN / name for name in ("train.txt", "val.txt")]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        near = hint(root, Part("the list of ids", f"{_LISTS}/trainaug.txt", "trainaug.txt"))
        raise FileNotFoundError(
            f"expected the list of ids at {root / _LISTS / 'trainaug.txt'}, found nothing{near}; "
            f"without it SBD's own {' and '.join(missing)} would do"
        )
    (first, problems), (second, more) = map(read_ids, paths)
    ids = list(dict.fromkeys([*first, *second]))
    free = [stem for stem in ids if stem not in held_out]
    left_out = len(ids) - len(free)
    note = (
        f"{len(free):,} ids from {paths[0]} and {paths[1].name}; {left_out:,} more are pictures of "
        "VOC's validation list and left out"
    )
    return free, problems + more, note


def without_held_out(
    ids: Collection[str], held_out: Collection[str], place: str
) -> tuple[list[str], list[str]]:
    """Take out pictures that must not be trained on.

    Args:
        ids: of pictures.
        held_out: ids of the others.
        place: where the ids stand, for the messages.

    Returns:
        The rest, and a problem for each that was taken out.
    """
    problems = [
        f"{place}: {stem} is a picture of VOC's validation list; remove it"
        for stem in ids
        if stem in held_out
    ]
    return [stem for stem in ids if stem not in held_out], problems


def read_mask(path: Path) -> np.ndarray:
    """Read one of SBD's own masks: H x W, 0 for background and class + 1.

    Raises:
        FileNotFoundError, ValueError: no such file, a damaged one, or one with something else.
    """
    content = read_variable(path, _VARIABLE, "SBD's benchmark.tgz")
    fields = getattr(getattr(content, "dtype", None), "names", None) or ()
    if _FIELD not in fields or content.size != 1:
        raise ValueError(
            f"{path}: expected a {_VARIABLE} with one {_FIELD}, got "
            f"{', '.join(fields) or 'no fields'}; unpack dataset/cls of SBD's benchmark.tgz"
        )
    return label_map(content[_FIELD].item(), path, f"{_VARIABLE}.{_FIELD}")
