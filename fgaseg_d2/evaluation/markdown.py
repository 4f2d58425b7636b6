"""The results table for people, beside published figures, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.occurrence import nowhere
from ..vocabulary.zero_shot import SPLITS
from . import without_masks
from .cells import line, number
from .outcome import Evaluation
from .published import ZERO_SHOT, PublishedRow, benchmark_of, comparable, rows_for

_FIGURES = {
    "mIoU": "mIoU",
    "mIoU_old_rule": "mIoU, old rule",
    "seen_mIoU": "mIoU, seen",
    "unseen_mIoU": "mIoU, unseen",
    "harmonic_mIoU": "harmonic mean",
    "mBoundaryIoU": "boundary IoU",
    "fragments": "fragments (ratio)",
    "covered": "covered by segments",
    "fwIoU": "fwIoU",
    "mACC": "mACC",
    "pACC": "pACC",
}
_RULE = (
    "mIoU is the mean over the classes that occur in the truth, as Detectron2 computes it since "
    "July 2022. Published figures may follow the older rule, in which a class that is predicted "
    "but does not occur counts as 0."
)


def results_page(evaluations: Sequence[Evaluation]) -> str:
    """Describe evaluations of one run.

    Args:
        evaluations: at least one, in the order of the rows.
    """
    run = evaluations[0].run
    published = [
        row
        for row in _rows_beside(run)
        if any(_published(row, one.dataset) is not None for one in evaluations)
    ]
    names = [name for name in _FIGURES if any(name in one.results for one in evaluations)]
    header = ["test set", "pictures", *(_FIGURES[name] for name in names)]
    for row in published:
        header += [f"{row.method}, {row.clip}", "difference"]
    lines = [line(header), line(["---", *["---:"] * (len(header) - 1)])]
    for one in evaluations:
        figures = [number(one.results.get(name)) for name in names]
        compared = [cell for row in published for cell in _compare(one, row)]
        lines.append(line([one.dataset, _pictures(one), *figures, *compared]))
    notes = [*_run_notes(run), _RULE, *_warnings(evaluations)]
    if published:
        notes.append(
            "Published figures are mIoU, in the protocol of their methods; a difference is ours "
            "minus theirs."
        )
    bullets = [f"* {note}" for note in notes]
    page = ["# Results", "", "In percent.", "", *lines, "", *bullets, ""]
    beside = without_masks.section(evaluations) if "trained_on" in run else []
    return "\n".join([*page, *beside, *_zero_shot(evaluations)])


def _rows_beside(run: Mapping) -> tuple[PublishedRow, ...]:
    """The rows of methods that see label maps; none beside what learned from captions."""
    if run.get("trained_on") == "captions":
        return ()
    return rows_for(str(run.get("clip", "")), str(run.get("architecture", "")))


def _zero_shot(evaluations: Sequence[Evaluation]) -> list[str]:
    """Seen and unseen classes of a published split, beside what others have reached on it."""
    split = str(evaluations[0].run.get("unseen", ""))
    if split not in SPLITS:
        return []
    header = ["", "mIoU, seen", "mIoU, unseen", "harmonic mean", "pACC"]
    lines = [line(header), line(["---", *["---:"] * 4])]
    for one in evaluations:
        names = ("seen_mIoU", "unseen_mIoU", "harmonic_mIoU", "pACC")
        figures = [number(one.results.get(name)) for name in names]
        lines.append(line([f"this run, {one.dataset}", *figures]))
    for row in ZERO_SHOT.get(split, ()):
        figures = [number(value, 1) for value in (row.seen, row.unseen, row.harmonic)]
        lines.append(line([row.method, *figures, ""]))
    return [f"## Zero-shot split {split}", "", *lines, ""]


def _compare(evaluation: Evaluation, row: PublishedRow) -> list[str]:
    """Published figure and difference."""
    theirs, ours = _published(row, evaluation.dataset), evaluation.results.get("mIoU")
    if theirs is None:
        return ["", ""]
    if not comparable(evaluation) or ours is None:
        return [f"{theirs:.1f}", "void"]
    return [f"{theirs:.1f}", f"{ours - theirs:+.1f}"]


def _published(row: PublishedRow, dataset: str) -> float | None:
    found = benchmark_of(dataset)
    return None if found is None else row.miou.get(found[0].column)


def _pictures(evaluation: Evaluation) -> str:
    if evaluation.pictures is None or evaluation.pictures == evaluation.expected:
        return str(evaluation.pictures or "")
    return f"{evaluation.pictures} of {evaluation.expected}"


def _warnings(evaluations: Sequence[Evaluation]) -> list[str]:
    """What makes figures incomparable."""
    notes = []
    for one in evaluations:
        if one.pictures is not None and one.expected is not None and one.pictures < one.expected:
            notes.append(
                f"**{one.dataset}: only {one.pictures} of {one.expected} pictures were scored.**"
            )
        absent = [str(row["class"]) for row in one.per_class if not row.get("true_pixels", 1)]
        if absent:
            notes.append(f"{one.dataset}: {nowhere(absent)}, so that the means leave them out.")
        found = benchmark_of(one.dataset)
        if found is not None and not comparable(one):
            notes.append(
                f"**{one.dataset}: {one.pictures} pictures, but the published figures are over "
                f"{found[1]}, so that a comparison is void.**"
            )
    return notes


def _run_notes(run: Mapping) -> list[str]:
    """How the predictions were made, as far as that is known."""
    titles = {"weights": "Weights", "config": "Configuration", "protocol": "Protocol"}
    notes = [f"{title}: {run[key]}" for key, title in titles.items() if run.get(key)]
    if not run:
        notes.append("How the predictions were made is not known.")
    if deviations := run.get("deviations"):
        notes.append(f"**Not the published protocol: {'; '.join(deviations)}.**")
    return notes
