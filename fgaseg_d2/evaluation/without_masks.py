"""A run beside what methods without label maps have published: mIoU in percent on eight sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .cells import line, number
from .outcome import Evaluation
from .published import PublishedRow, benchmark_of, comparable

# In the order of these tables; the first three have background as a class.
COLUMNS: Mapping[str, str] = {
    "pascal_voc_21": "VOC 21",
    "pascal_context_60": "Context 60",
    "coco_object_81": "COCO-Object",
    "pascal_voc_20": "VOC 20",
    "pascal_context_59": "Context 59",
    "coco_stuff": "COCO-Stuff",
    "cityscapes_19": "Cityscapes",
    "ade20k_150": "ADE20K",
}
NOTE = (
    "Figures of others are of CLIP ViT-B/16, each with its own words, sizes and thresholds; those "
    "of one method differ between the tables that quote it."
)


def _row(method: str, *figures: float | None) -> PublishedRow:
    known = {name: value for name, value in zip(COLUMNS, figures, strict=True) if value is not None}
    return PublishedRow(method, "ViT-B/16", known)


ROWS = (
    _row("MaskCLIP, as run by others", 43.4, 23.2, 20.6, 74.9, 26.4, 16.7, 24.9, 11.9),
    _row("SCLIP, paper", 59.1, 30.4, 30.5, 80.4, 34.2, 22.4, 32.2, 16.1),
    _row("ClearCLIP, as quoted by others", 51.8, 32.6, 33.0, 80.9, 35.9, 23.9, 30.0, 16.7),
    _row("NACLIP, as quoted by others", 58.9, 32.2, 33.2, 79.7, 35.2, 23.3, 35.5, 17.4),
    _row("NACLIP with PAMR, its README", 64.07, 34.99, 36.19, 83.03, 38.35, 25.69, 38.27, 19.05),
    _row("ProxyCLIP with DINO B/8, paper", 61.3, 35.3, 37.5, 80.3, 39.1, 26.5, 38.1, 20.2),
    _row("TCL, trained on captions", 51.2, 24.3, 30.4, 77.5, 30.3, 19.6, 23.1, 14.9),
    _row("CoDe, trained on captions", 57.7, 30.5, 32.3, None, None, 23.9, 28.9, 17.7),
)


def section(evaluations: Sequence[Evaluation]) -> list[str]:
    """Lines of Markdown: what was evaluated of the eight sets, above what others have reached.

    Args:
        evaluations: of one run; other sets are left out.

    Returns:
        No line where none of the eight was evaluated.
    """
    found = {}
    for one in evaluations:
        benchmark = benchmark_of(one.dataset)
        if benchmark is not None and benchmark[0].name in COLUMNS:
            found[benchmark[0].name] = one
    names = [name for name in COLUMNS if name in found]
    if not names:
        return []
    ours = [_ours(found[name]) for name in names]
    lines = [
        line(["method", *(COLUMNS[name] for name in names)]),
        line(["---", *["---:"] * len(names)]),
        line(["**this run**", *ours]),
        *(
            line([row.method, *(number(row.miou.get(name), 1, "-") for name in names)])
            for row in ROWS
            if any(name in row.miou for name in names)
        ),
    ]
    return ["## Beside methods without label maps", "", f"mIoU in percent. {NOTE}", "", *lines, ""]


def _ours(evaluation: Evaluation) -> str:
    """The figure of a run, called void where it is not of all pictures."""
    figure = number(evaluation.results.get("mIoU"), none="-")
    return figure if comparable(evaluation) or figure == "-" else f"{figure} (void)"
