"""Which classes of a dataset a training must not see: by name, number, file, or a split's name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from ..wording import shown
from . import dataset_words
from .sources import read_names

# The unseen classes of the splits that zero-shot segmentation is published with. COCO-Stuff's are
# those of SPNet, in ZegFormer and ZegCLIP. Of Context two sets are in use that have four classes in
# common: OTSeg's (a), and that of Cascade-CLIP's released configuration (b).
SPLITS: dict[str, str] = {
    "voc_15_5": "pottedplant,sheep,sofa,train,tvmonitor",
    "coco_stuff_156_15": "cow,giraffe,suitcase,frisbee,skateboard,carrot,scissors,cardboard,clouds,"
    "grass,playingfield,river,road,tree,wall-concrete",
    "context_49_10_a": "aeroplane,bird,boat,cat,cow,fence,keyboard,motorbike,sofa,tvmonitor",
    "context_49_10_b": "aeroplane,bed,bedclothes,boat,bottle,car,cloth,cow,keyboard,plate",
}
METADATA = "metadata"


def unseen_names(words: str, classes: Sequence[str], metadata: Any) -> tuple[str, ...]:
    """The unseen classes of a dataset.

    Args:
        words: "" for none, "metadata" for what the dataset itself says, a name of :data:`SPLITS`,
            or names or numbers of classes: "a,b", "3,7", or a file with one class a line.
        classes: names of the dataset's classes, by number.
        metadata: of the dataset.

    Returns:
        Names among `classes`, each once.

    Raises:
        ValueError: something else than classes of the dataset.
        FileNotFoundError: no such file.
    """
    if not words:
        return ()
    if words == METADATA:
        names = dataset_words.unseen_classes(metadata)
    else:
        names = read_names(SPLITS.get(words, words))
    found = (_class_of(name, classes, metadata) for name in names)
    return tuple(dict.fromkeys(found))


def _class_of(name: str, classes: Sequence[str], metadata: Any) -> str:
    if name in classes:
        return name
    where = f"unseen classes of {shown(metadata.get('name'))}"
    if name.isdecimal():
        if int(name) < len(classes):
            return classes[int(name)]
        raise ValueError(
            f"expected {where}, numbers 0 .. {len(classes) - 1}, got {shown(name)}; correct it"
        )
    near = difflib.get_close_matches(name, classes, n=1) or difflib.get_close_matches(name, SPLITS)
    hint = f"did you mean {near[0]!r}?" if near else "name classes of this dataset"
    raise ValueError(f"expected {where}, got {shown(name)}; {hint}")
