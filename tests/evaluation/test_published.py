"""Published figures beside those of a run."""

import pytest

from fgaseg_d2.evaluation.markdown import results_page
from fgaseg_d2.evaluation.outcome import Evaluation
from fgaseg_d2.evaluation.published import ZERO_SHOT
from fgaseg_d2.vocabulary.zero_shot import SPLITS

FIGURES = {"mIoU": 80.0, "seen_mIoU": 85.12, "unseen_mIoU": 70.34, "harmonic_mIoU": 77.03}


def page(**run):
    name = "pascal_voc_20_val"
    return results_page([Evaluation(name, FIGURES | {"pACC": 91.5}, 1449, 1449, run)])


def test_a_zero_shot_split_stands_beside_what_others_have_reached():
    section = page(unseen="voc_15_5").split("## Zero-shot split voc_15_5")[1]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("|")]
    assert rows[2] == ["| this run, pascal_voc_20_val", "85.12", "70.34", "77.03", "91.50 |"]
    assert ["| ZegCLIP, inductive", "91.9", "77.8", "84.3", " |"] in rows
    assert len(rows) == 3 + len(ZERO_SHOT["voc_15_5"])


def test_the_table_says_what_segments_cover_where_there_are_some():
    shares = [{"covered": 87.654}, {}]
    table = results_page(
        [Evaluation(name, {"mIoU": 1.0} | more, 5, 5, {}) for name, more in zip("ab", shares)]
    )
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert rows[0] == "| test set | pictures | mIoU | covered by segments |"
    assert rows[2:] == ["| a | 5 | 1.00 | 87.65 |", "| b | 5 | 1.00 |  |"]
    assert "covered" not in page()


@pytest.mark.parametrize("run", [{}, {"unseen": "cat,dog"}, {"unseen": "metadata"}])
def test_other_classes_have_no_such_section(run):
    assert "Zero-shot split" not in page(**run)


def test_harmonic_means_are_those_of_their_figures():
    """To the first decimal of all three; a slip of the pen in one would show."""
    assert set(ZERO_SHOT) <= set(SPLITS)
    for rows in ZERO_SHOT.values():
        for row in rows:
            mean = 2 / (1 / row.seen + 1 / row.unseen)
            assert row.harmonic == pytest.approx(mean, abs=0.11), row
