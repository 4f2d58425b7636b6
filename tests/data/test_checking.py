"""check_dataset: what is in a dataset, and every file that cannot be used at once."""

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.labels import read_label
from tests import datasets
from tests.conftest import tool


@pytest.fixture
def blocks(tmp_path):
    records = datasets.write_blocks(tmp_path, count=5)
    with datasets.registered("blocks", records, ignore_label=255):
        yield records


def test_counts_are_those_of_the_files(blocks):
    report = check_dataset("blocks")
    labels = np.stack([read_label(record["sem_seg_file_name"]) for record in blocks])
    assert report.pixels.tolist() == [(labels == index).sum() for index in range(4)]
    assert report.occurs.tolist() == [(labels == k).any((1, 2)).sum() for k in range(4)]
    assert report.ignored == (labels == 255).sum() and report.problems == []
    share = (labels == 2).mean()
    assert f"    2  blue block  {share:8.2%} of the pixels" in report.text()


def test_every_bad_file_is_named(blocks, capsys):
    label = read_label(blocks[1]["sem_seg_file_name"]).astype(np.uint8)
    label[30, 30] = 4
    Image.fromarray(label).save(blocks[1]["sem_seg_file_name"])
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(blocks[2]["sem_seg_file_name"])
    with open(blocks[3]["file_name"], "r+b") as stream:
        stream.truncate(50)
    assert tool("check_dataset").main(["tests/data/small.yaml", "--datasets", "blocks"]) == 1
    printed = capsys.readouterr()
    problems = [line for line in printed.out.splitlines() if line.startswith("  error: ")]
    assert len(problems) == 3
    assert "1.label.png" in problems[0] and "got 4" in problems[0] and "count from 1" in problems[0]
    assert "2.png has 48 x 64" in problems[1] and "9 x 9" in problems[1]
    assert "3.png" in problems[2]
    assert "error: 3 files cannot be used" in printed.err


def test_a_long_list_is_cut_and_missing_classes_are_counted(tmp_path):
    records = []
    for index in range(25):
        label = np.full((4, 4), 9, np.uint8)
        picture = np.zeros((4, 4, 3), np.uint8)
        records.append(datasets.write_pair(tmp_path, f"{index:02d}", picture, label))
    with datasets.registered("nines", records):
        text = check_dataset("nines").text()
    assert text.count("  error: ") == 21 and "error: 5 more files" in text
    assert "4 classes occur in no picture" in text


def test_a_dataset_that_is_not_there(capsys):
    assert tool("check_dataset").main(["tests/data/small.yaml", "--datasets", "nowhere"]) == 1
    assert "'nowhere' is not registered" in capsys.readouterr().err
