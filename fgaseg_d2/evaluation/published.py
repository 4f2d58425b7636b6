"""Figures that others have published for the benchmarks: mIoU in percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..data.datasets.benchmarks import BENCHMARKS, Benchmark

_COLUMNS = ("A-847", "PC-459", "A-150", "PC-59", "PAS-20", "PAS-20b")


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        method: with where it was published.
        clip: CLIP's image tower, "ViT-B/16" or "ViT-L/14".
        miou: by column; the FGAseg paper has no PAS-20b.
    """

    method: str
    clip: str
    miou: Mapping[str, float]


def _row(method: str, clip: str, *figures: float) -> PublishedRow:
    return PublishedRow(method, clip, dict(zip(_COLUMNS, figures, strict=False)))


_FGASEG, _CATSEG = "FGAseg (arXiv 2501.00877, Table I)", "CAT-Seg (CVPR 2024)"
ROWS = (
    _row(_FGASEG, "ViT-B/16", 12.0, 19.0, 31.4, 57.5, 95.2),
    _row(_CATSEG, "ViT-B/16", 12.0, 19.0, 31.8, 57.5, 94.6, 77.3),
    _row(_FGASEG, "ViT-L/14", 16.3, 23.9, 37.9, 63.4, 97.1),
    _row(_CATSEG, "ViT-L/14", 16.0, 23.8, 37.9, 63.3, 97.0, 82.5),
)


def rows_for(clip: str) -> tuple[PublishedRow, ...]:
    """The rows to set beside a model.

    Args:
        clip: name of a CLIP in open_clip, such as "ViT-B-16-quickgelu". For another size than those
            that were published there is none to compare with.
    """
    name = clip.replace("/", "-")
    return tuple(row for row in ROWS if name.startswith(row.clip.replace("/", "-")))


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


def table_position(dataset_name: str) -> tuple[int, str]:
    """Sorts test sets: benchmarks in the order of the paper's columns, then others by name."""
    found = benchmark_of(dataset_name)
    known = found is not None and found[0].column in _COLUMNS
    position = _COLUMNS.index(found[0].column) if found and known else len(_COLUMNS)
    return position, dataset_name
