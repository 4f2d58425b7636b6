"""What docs/STUDIES.md says of its tables, derived from the documents behind them."""

import json
import re
import statistics

import pytest
from scipy.stats import t as student
from studies.definition import study_names

from tests.conftest import ROOT

FOLDER = ROOT / "results/studies"
PAGE = (ROOT / "docs/STUDIES.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
LEVEL = 0.05
MINUS = "\N{MINUS SIGN}"


def load(study):
    return json.loads((FOLDER / f"{study}.json").read_text(encoding="utf-8"))


DOCUMENTS = {name: load(name) for name in study_names()}


def rows_with_runs(document):
    return [row for row in document["rows"] if row["runs"][0]["state"] == "finished"]


def compared_rows(document):
    return [row for row in rows_with_runs(document) if row["name"] != document["default"]]


def signed(mean, deviation):
    return f"{mean:+.1f} ± {deviation:.1f}".replace("-", MINUS)


def p_value(difference):
    """Of the paired t-test: could the mean of the seeds' differences be 0?"""
    error = difference["deviation"] / difference["count"] ** 0.5
    return 2 * student.sf(abs(difference["mean"]) / error, difference["count"] - 1)


def differences():
    """Every difference to a default row: study, row, figure, {"mean", "deviation", "count"}."""
    return [
        (study, row["name"], figure, row["difference"][figure])
        for study, document in DOCUMENTS.items()
        for row in compared_rows(document)
        for figure in document["figures"]
    ]


def default_runs(document):
    (row,) = (row for row in document["rows"] if row["name"] == document["default"])
    return [run["folder"] for run in row["runs"]]


def test_the_table_lists_what_is_beyond_chance_and_nothing_else():
    table = PAGE.partition("| study | row | figure | difference |\n|---|---|---|---|\n")[2]
    listed = re.findall(r"^\| (\w+) \| (.+) \| (\w+) \| (.+) \|$", table.partition("\n\n")[0], re.M)
    beyond = [
        (study, row, figure, signed(found["mean"], found["deviation"]))
        for study, row, figure, found in differences()
        if p_value(found) < LEVEL
    ]
    assert sorted(listed) == sorted(beyond)
    assert f"These {len(beyond)} are" in TEXT


def test_the_number_of_comparisons():
    found = differences()
    rows = {(study, row) for study, row, _, _ in found}
    assert f"{len(rows)} rows are compared" in TEXT
    assert f"five figures each (harmonic follows from two of the others): {len(found)} diff" in TEXT
    assert f"{LEVEL * len(found):.0f} of the {len(found)} would be so by luck" in TEXT
    assert all(difference["count"] == 3 for *_, difference in found)
    times = student.isf(LEVEL / 2, 2) / 3**0.5
    assert f"more than {times:.1f} times its standard deviation" in TEXT
    assert min(p_value(difference) for *_, difference in found) > LEVEL / len(found)
    assert f"allows for {len(found)} comparisons (Bonferroni) none is left" in TEXT


def test_rows_that_share_their_default_runs():
    shared = default_runs(DOCUMENTS["components"])
    rows = [
        row
        for document in DOCUMENTS.values()
        if default_runs(document) == shared
        for row in compared_rows(document)
    ]
    ahead = {
        figure: sum(row["difference"][figure]["mean"] > 0 for row in rows)
        for figure in ("seen", "unseen", "nouns")
    }
    assert f"{len(rows)} of the rows are compared with the same three runs" in TEXT
    assert (
        f"{ahead['seen']} of them are ahead of these runs on seen pairs, {ahead['nouns']} on "
        f"nouns, and {len(rows) - ahead['unseen']} behind on unseen pairs" in TEXT
    )


@pytest.mark.parametrize("study", DOCUMENTS)
def test_every_number_of_a_statement_is_in_its_table(study):
    (statement,) = re.findall(
        rf"^\* \*\*\[[^\]]+\]\(\.\./results/studies/{study}\.md\)\*\*(.*?)(?=^\* |^`tests|\n\n)",
        PAGE,
        re.MULTILINE | re.DOTALL,
    )
    there = {
        signed(difference["mean"], difference["deviation"])
        for name, _, _, difference in differences()
        if name == study
    }
    named = re.findall(rf"[+{MINUS}]\d+\.\d ± \d+\.\d", " ".join(statement.split()))
    assert set(named) <= there
    assert named or study == "decoder"


def test_statements_about_means():
    def summaries(rows, figure):
        return [row["summary"][figure]["mean"] for row in rows]

    components = DOCUMENTS["components"]
    without_lcs = [row for row in components["rows"] if "LCS" not in row["name"]]
    assert len(without_lcs) == 3
    spreads = [
        max(summaries(without_lcs, figure)) - min(summaries(without_lcs, figure))
        for figure in components["figures"]
    ]
    assert f"within {max(spreads):.1f} of each other in every figure" in TEXT

    everything = [row for document in DOCUMENTS.values() for row in rows_with_runs(document)]
    assert f"the best of which has {max(summaries(everything, 'nouns')):.1f}" in TEXT

    harmonic = summaries(DOCUMENTS["clip_tuning"]["rows"], "harmonic")
    assert f"harmonic means {min(harmonic):.1f} to {max(harmonic):.1f}" in TEXT

    rejection = [
        abs(difference["mean"])
        for study, row, _, difference in differences()
        if study == "early_rejection" and row != "N = 1"
    ]
    assert f"no figure changes by more than {max(rejection):.1f}." in TEXT


def test_what_was_measured_again_is_in_its_log():
    log = json.loads((ROOT / "results/measurements/zero_line.json").read_text(encoding="utf-8"))
    zero = [f"{log['zero_line'][figure]:.1f}" for figure in ("seen", "unseen", "nouns")]
    assert "{} on seen pairs, {} on unseen ones, {} on nouns".format(*zero) in TEXT
    rows = [log["default_row"][figure] for figure in ("seen", "unseen", "nouns")]
    reached = [f"{statistics.fmean(row):.1f} ± {statistics.stdev(row):.1f}" for row in rows]
    assert "reaches {}, {} and {}.".format(*reached) in TEXT

    log = json.loads(
        (ROOT / "results/measurements/early_rejection.json").read_text(encoding="utf-8")
    )
    seconds = {keep: statistics.median(values) for keep, values in log["seconds"].items()}
    without = seconds["1000"]
    shares = [f"{100 * seconds[keep] / without:.0f}" for keep in ("1", "4", "8", "16")]
    assert "N = 1, 4, 8 and 16 take {}, {}, {} and {} % of the ".format(*shares) in TEXT
    assert f"% of the {without:.2f} s that a picture takes without rejection" in TEXT
    assert seconds["32"] > without
    performance = " ".join((ROOT / "docs/PERFORMANCE.md").read_text(encoding="utf-8").split())
    saved = "{} % of the processor seconds without rejection with `FAST.KEEP` 1, {} % with 4, {} %"
    assert f"{saved} with 8, {{}} % with 16".format(*shares) in performance
