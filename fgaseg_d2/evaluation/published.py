"""Figures that others have published for the benchmarks: mIoU in percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..data.datasets.benchmarks import BENCHMARKS, Benchmark
from .outcome import Evaluation

_COLUMNS = ("A-847", "PC-459", "A-150", "PC-59", "PAS-20", "PAS-20b")


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        method: with where it was published.
        clip: CLIP's image tower, "ViT-B/16" or "ViT-L/14".
        miou: by column; the FGAseg paper has no PAS-20b, USE's none of the PAS.
        architecture: META_ARCHITECTURE of the only runs that it is set beside; "" for all.
    """

    method: str
    clip: str
    miou: Mapping[str, float]
    architecture: str = ""


def _row(method: str, clip: str, *figures: float, architecture: str = "") -> PublishedRow:
    return PublishedRow(method, clip, dict(zip(_COLUMNS, figures, strict=False)), architecture)


_FGASEG, _CATSEG = "FGAseg (arXiv 2501.00877, Table I)", "CAT-Seg (CVPR 2024)"
_USE = "USE (arXiv 2406.05271), trained on {}"
ROWS = (
    _row(_FGASEG, "ViT-B/16", 12.0, 19.0, 31.4, 57.5, 95.2),
    _row(_CATSEG, "ViT-B/16", 12.0, 19.0, 31.8, 57.5, 94.6, 77.3),
    _row(_FGASEG, "ViT-L/14", 16.3, 23.9, 37.9, 63.4, 97.1),
    _row(_CATSEG, "ViT-L/14", 16.0, 23.8, 37.9, 63.3, 97.0, 82.5),
    # Trained on segments, and not on COCO-Stuff's label maps as those above.
    _row(_USE.format("COCO"), "ViT-L/14", 13.3, 14.7, 37.0, 57.8, architecture="USE"),
    _row(_USE.format("COCO + VG"), "ViT-L/14", 13.4, 15.0, 37.1, 58.0, architecture="USE"),
)


def rows_for(clip: str, architecture: str = "") -> tuple[PublishedRow, ...]:
    """The rows to set beside a model.

    Args:
        clip: name of a CLIP in open_clip, such as "ViT-B-16-quickgelu". For another size than those
            that were published there is none to compare with.
        architecture: its META_ARCHITECTURE, "" where that is not known.
    """
    name = clip.replace("/", "-")
    return tuple(
        row
        for row in ROWS
        if name.startswith(row.clip.replace("/", "-")) and row.architecture in ("", architecture)
    )


def benchmark_of(dataset_name: str) -> tuple[Benchmark, int] | None:
    """The benchmark that a test set is, and its official number of pictures.

    Args:
        dataset_name: as registered, ``<benchmark>_val``; None for any other name.
    """
    name, _, split = dataset_name.rpartition("_")
    benchmark = BENCHMARKS.get(name)
    if benchmark is None or split != "val":
        return None
    return benchmark, benchmark.splits[split].count


def comparable(evaluation: Evaluation) -> bool:
    """Whether all pictures of a benchmark were scored, in their official number."""
    found = benchmark_of(evaluation.dataset)
    return found is None or (evaluation.pictures == evaluation.expected == found[1])


def table_position(dataset_name: str) -> tuple[int, str]:
    """Sorts test sets: benchmarks in the order of the paper's columns, then others by name."""
    found = benchmark_of(dataset_name)
    known = found is not None and found[0].column in _COLUMNS
    position = _COLUMNS.index(found[0].column) if found and known else len(_COLUMNS)
    return position, dataset_name


@dataclass(frozen=True)
class ZeroShotRow:
    """Published mIoU of a zero-shot split, in percent.

    Attributes:
        method: with what its training knew of the unseen classes.
        seen, unseen: of seen and unseen classes.
        harmonic: their harmonic mean, calculated of them where it was not published.
    """

    method: str
    seen: float
    unseen: float
    harmonic: float


def _zero_shot(method: str, seen: float, unseen: float, harmonic: float | None) -> ZeroShotRow:
    mean = 2 * seen * unseen / (seen + unseen) if harmonic is None else harmonic
    return ZeroShotRow(method, seen, unseen, mean)


# By split. Sources: the READMEs of the methods, for ZegFormer that of DeOP, for ZegCLIP its paper.
ZERO_SHOT: Mapping[str, tuple[ZeroShotRow, ...]] = {
    "voc_15_5": (
        _zero_shot("ZegFormer, inductive", 86.4, 63.6, 73.3),
        _zero_shot("DeOP, inductive", 88.2, 74.6, 80.8),
        _zero_shot("ZegCLIP, inductive", 91.9, 77.8, 84.3),
        _zero_shot("CLIP-RC, inductive", 92.8, 84.4, 88.4),
        _zero_shot("Cascade-CLIP, inductive", 92.5, 83.0, None),
        _zero_shot("ZegCLIP, transductive", 92.3, 89.9, 91.1),
        _zero_shot("CLIP-RC, transductive", 93.9, 92.2, 93.0),
        _zero_shot("Cascade-CLIP, transductive", 93.6, 93.2, None),
    ),
    "coco_stuff_156_15": (
        _zero_shot("ZegFormer, inductive", 36.6, 33.2, 34.8),
        _zero_shot("DeOP, inductive", 38.0, 38.4, 38.2),
        _zero_shot("ZegCLIP, inductive", 40.2, 41.4, 40.8),
        _zero_shot("CLIP-RC, inductive", 40.9, 41.6, 41.2),
        _zero_shot("Cascade-CLIP, inductive", 41.2, 43.4, None),
        _zero_shot("ZegCLIP, transductive", 40.7, 59.9, 48.5),
        _zero_shot("CLIP-RC, transductive", 42.0, 60.8, 49.7),
        _zero_shot("Cascade-CLIP, transductive", 41.7, 62.5, None),
    ),
    "context_49_10_b": (
        _zero_shot("Cascade-CLIP, inductive", 55.9, 47.2, None),
        _zero_shot("Cascade-CLIP, transductive", 56.4, 55.0, None),
    ),
}
