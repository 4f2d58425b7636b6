"""From the raw downloads of the benchmarks to label files that hold class indices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ...parallel import available_processors
from ..datasets.benchmarks import BENCHMARKS
from .ade20k_150 import Ade20k150
from .ade20k_847 import Ade20k847
from .check import check_split
from .cityscapes import Cityscapes
from .coco_object import CocoObject
from .coco_stuff import CocoStuff
from .findings import Findings
from .locating import RawDataMissingError
from .outcomes import SplitResult
from .pascal_context_59 import PascalContext59
from .pascal_context_60 import PascalContext60
from .pascal_context_459 import PascalContext459
from .pascal_voc import PascalVoc
from .pascal_voc_21 import PascalVoc21
from .prepare import prepare_split
from .samples import Family

__all__ = [
    "FAMILIES",
    "Findings",
    "SplitResult",
    "available_processors",
    "check_split",
    "each_split",
    "prepare_split",
]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        CocoStuff(),
        Ade20k150(),
        Ade20k847(),
        PascalContext59(),
        PascalContext459(),
        PascalVoc(),
        PascalVoc21(),
        PascalContext60(),
        CocoObject(),
        Cityscapes(),
    )
}


def each_split(
    action: Callable[[Family, Path, str, int, Findings], list[SplitResult]],
    names: Iterable[str],
    root: Path,
    splits: Sequence[str],
    workers: int,
    findings: Findings,
) -> list[SplitResult]:
    """Prepare or check several benchmarks; what is wrong with one does not stop the others.

    Args:
        action: :func:`prepare_split` or :func:`check_split`.
        names: keys of FAMILIES.
        root: of the datasets.
        splits: of "train", "val" and "train_aug"; none takes the usual ones of each, of which only
            one must be there.
        workers: number of processes.
        findings: takes everything that is wrong or unusual.

    Returns:
        The results of the splits that could be handled.

    Raises:
        FileNotFoundError: there is no such root.
        OSError: a file cannot be written.
    """
    if not root.is_dir():
        raise FileNotFoundError(
            f"expected the datasets in {root.absolute()}, found no such folder; give --root or set "
            "DETECTRON2_DATASETS"
        )
    results = []
    for family in (FAMILIES[name] for name in names):
        absent = []
        wanted = splits or family.default_splits
        for split in wanted:
            known = BENCHMARKS[family.benchmarks[0]].splits
            if split not in known:
                findings.problem(
                    f"{family.name}: expected a split of {', '.join(known)}, got {split}; leave it "
                    "out, or prepare this dataset by a call of its own"
                )
                continue
            try:
                results += action(family, root, split, workers, findings)
            except RawDataMissingError as error:
                absent.append(f"{family.name} {split}: {error}")
            except (FileNotFoundError, ValueError) as error:
                findings.problem(f"{family.name} {split}: {error}")
        optional = not splits and len(absent) < len(wanted)
        for line in absent:
            (findings.warning if optional else findings.problem)(line)
    return results
