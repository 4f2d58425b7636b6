"""check_segments: what is wrong in which line of a file of segments, and what there is in all."""

import gzip
import json
import re

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.datasets.segments import register_segments
from fgaseg_d2.data.segment_checking import check_segment_file
from fgaseg_d2.io.coco_masks import encoded_mask, mask_box
from tests import datasets
from tests.conftest import tool
from tests.run_lengths import runs_of

SIZE = (20, 30)


def square(top, left, side):
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def segment(mask, *texts, **more):
    return {
        "rle": encoded_mask(mask),
        "bbox": mask_box(mask),
        "area": int(mask.sum()),
        "texts": [{"t": text, "score": 0.5} for text in texts],
    } | more


CAT = segment(square(2, 3, 5), "a cat", "an animal")


def record(*segments, name="a.png", **more):
    base = {"file_name": name, "height": 20, "width": 30, "segments": list(segments or [CAT])}
    return base | more


@pytest.fixture
def folder(tmp_path):
    for name in "abc":
        Image.new("RGB", (30, 20), "navy").save(tmp_path / f"{name}.png")
    Image.new("RGB", (30, 21)).save(tmp_path / "tall.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    return tmp_path


def write(folder, *lines):
    """A file of these lines, each an object or bytes."""
    path = folder / "own.jsonl"
    rows = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(rows) + b"\n")
    return path


def test_a_good_file_is_counted(folder, capsys):
    sky = {"rle": runs_of(square(0, 0, 9)), "texts": ["sky", "a cat"]}
    path = write(folder, record(CAT, sky), b"", record(segment(square(1, 1, 2)), name="b.png"))
    assert tool("check_segments").main([str(path)]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{path}: 2 lines, 3 segments, 1 of them without texts, 3 different texts",
        "  the commonest text, 2 times: 'a cat'",
    ]
    assert printed.err == ""


BAD = [
    (b"{", "expected a JSON object, got an error"),
    (b"7", "expected a JSON object, got 7"),
    (b'{"file_name": "caf\xe9.png"}', "got other bytes at"),
    (b"[" * 5000, "expected a JSON object, got an error"),
    (record(name="none.png"), "none.png"),
    (record(name="half.png"), "expected a whole picture in"),
    (record(name="own.jsonl"), "expected a picture that Pillow reads"),
    (record(name="tall.png"), "tall.png has 21 x 30 pixels"),
    (record(name="nul\0.png"), "nul"),
    (record(name=7), 'expected "file_name" as a path, got 7'),
    (record(height=10**6, width=10**6), 'expected "height" and "width" in pixels'),
    (record(height="20"), 'expected "height" and "width" in pixels'),
    (record(segments={}), 'expected "segments" as a list'),
    (record("cat"), "segment 0: expected a JSON object, got 'cat'"),
    (record(CAT, CAT | {"rle": None}), 'segment 1: expected "rle" with "size" and "counts"'),
    (record(CAT | {"rle": encoded_mask(square(0, 0, 9).T)}), "mask of the picture's 20 x 30"),
    (record(CAT | {"rle": {"size": SIZE, "counts": [599]}}), "runs of 600 pixels together"),
    (record(CAT | {"rle": {"size": SIZE, "counts": [-1, 601]}}), "runs of 0 or more pixels"),
    (record(CAT | {"rle": {"size": SIZE, "counts": [1.5]}}), "runs of 0 or more pixels"),
    (record(CAT | {"rle": {"size": SIZE, "counts": "o" * 10**6}}), "runs of 0 or more pixels"),
    (record(CAT | {"rle": {"size": SIZE, "counts": "Zb1"}}), "expected runs of 600 pixels"),
    (record(CAT | {"rle": {"size": SIZE, "counts": "\u20ac"}}), "runs of 0 or more pixels"),
    (record(CAT | {"area": 24}), 'expected "area" 25 as its mask has, got 24'),
    (record(CAT | {"area": float("nan")}), 'expected "area" 25 as its mask has, got nan'),
    (record(CAT | {"bbox": [3, 3, 5, 5]}), ""),
    (record(CAT | {"bbox": [3, 4, 5, 9]}), 'expected "bbox" [3, 2, 5, 5] as its mask has'),
    (record(CAT | {"bbox": [3]}), 'expected "bbox" [3, 2, 5, 5] as its mask has, got [3]'),
    (record(CAT | {"bbox": ["3", "2", "5", "5"]}), 'expected "bbox"'),
    (record(CAT | {"bbox": [float("nan")] * 4}), 'expected "bbox"'),
    (record(segment(square(0, 0, 0), "cat")), "a mask with a pixel or more, got an empty one"),
    (record(CAT | {"texts": "a cat"}), 'expected "texts" as a list'),
    (record(CAT | {"texts": ["  "]}), "expected a text, or one as \"t\", got ' '"),
    (record(CAT | {"texts": [{"text": "a"}]}), 'expected a text, or one as "t"'),
    (record(CAT | {"texts": [None]}), 'expected a text, or one as "t", got None'),
    (record(CAT | {"texts": [{"t": "a", "score": 2}]}), 'expected "score" of a text in 0..1'),
    (record(CAT | {"score": True}), 'expected "score" in 0..1'),
    (record(CAT | {"level": "scene"}), 'expected "level" object or part'),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_what_is_wrong_is_said_with_its_line(folder, line, message):
    path = write(folder, record(name="b.png"), line, record(name="c.png"))
    problems = check_segment_file(path).problems
    assert all(re.match(r"line 2: .*", problem) for problem in problems), problems
    assert all("\n" not in problem and len(problem) < 450 for problem in problems)
    assert bool(problems) == bool(message) and message in "".join(problems)


def test_every_problem_of_a_line_is_named_and_the_exit_code_is_1(folder, capsys):
    both = record(CAT | {"area": 1, "score": 7}, CAT | {"rle": 3}, name="none.png")
    path = write(folder, record(), both)
    assert tool("check_segments").main([str(path)]) == 1
    printed = capsys.readouterr()
    *problems, counts, _ = printed.out.splitlines()
    assert len(problems) == 4 and all(one.startswith("  error: line 2: ") for one in problems)
    assert counts.endswith(
        "own.jsonl: 2 lines, 3 segments, 0 of them without texts, 2 different texts"
    )
    assert printed.err == "error: 4 problems found; correct or remove these lines\n"
    assert tool("check_segments").main([str(path), "--show", "1", "--no-pictures"]) == 1
    assert "error: 2 more problems" in capsys.readouterr().out


def test_a_picture_stands_in_one_line(folder):
    lines = [
        record(image_id=1),
        record(name="./a.png", image_id=2),
        record(name="b.png", image_id=1),
    ]
    assert check_segment_file(write(folder, *lines)).problems == [
        "line 2: expected one record of a picture, got \"file_name\" './a.png' as in line 1",
        'line 3: expected one record of a picture, got "image_id" 1 as in line 1',
    ]


def test_pictures_lie_in_the_folder_that_is_given(folder, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("elsewhere"), record())
    assert "a.png" in check_segment_file(path).problems[0]
    assert check_segment_file(path, folder).problems == []
    assert check_segment_file(path, pictures=False).problems == []


ONE = json.dumps(record()).encode()
OTHERS = [
    (gzip.compress(ONE), "a gzip file; unpack it"),
    (b"PK\x03\x04" + ONE, "a ZIP file; unpack it"),
    (ONE.decode().encode("utf-16"), "UTF-16 text; save it as UTF-8"),
    (ONE + b"\0", "a binary file"),
    (json.dumps([record()]).encode(), "a JSON array; write each record"),
    (json.dumps([record()], indent=1).encode(), "a JSON array; write each record"),
    (json.dumps(record(), indent=1).encode(), "JSON over several lines"),
    (json.dumps({"images": [], "annotations": []}).encode(), "a COCO file; turn it into one"),
    (json.dumps({"info": {}, "images": []}, indent=1).encode(), "a COCO file; turn it into one"),
    (b"\xef\xbb\xbf" + json.dumps({"images": []}).encode(), "a COCO file; turn it into one"),
    (b"\xef\xbb\xbf" + json.dumps([record()]).encode(), "a JSON array; write each record"),
    (
        json.dumps({"info": {}, "licenses": [{"id": 1}] * 400, "annotations": []}).encode(),
        "a COCO file; turn it into one",
    ),
    (
        json.dumps({"categories": [{"id": 1, "name": "cat"}], "images": []}).encode(),
        "a COCO file; turn it into one",
    ),
]


@pytest.mark.parametrize(("content", "message"), OTHERS)
def test_a_file_of_another_kind_is_one_line(tmp_path, content, message, capsys):
    path = tmp_path / "own.jsonl"
    path.write_bytes(content)
    assert tool("check_segments").main([str(path)]) == 1
    error = capsys.readouterr().err
    assert f"expected JSON Lines, one record a picture, got {message}" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("key", ["info", "licenses", "categories", "annotations"])
def test_a_record_may_say_more_before_what_has_to_be_there(folder, key):
    first = {key: {"drawn by": "hand"}} | record()
    path = write(folder, json.dumps(first).encode(), json.dumps(record(name="b.png")).encode())
    assert check_segment_file(path).problems == []


def test_no_file_a_folder_and_an_empty_file(tmp_path, capsys):
    for path in (tmp_path / "none.jsonl", tmp_path):
        assert tool("check_segments").main([str(path)]) == 1
        assert "expected a file of segments (JSON Lines) at" in capsys.readouterr().err
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"\n\n")
    assert tool("check_segments").main([str(path)]) == 1
    assert "expected a record in each line, got none" in capsys.readouterr().out


def test_a_mark_of_utf_8_at_the_beginning_is_no_harm(folder):
    assert check_segment_file(write(folder, b"\xef\xbb\xbf" + ONE)).problems == []


def test_the_segments_of_a_configuration_are_checked_with_all_lines(folder):
    lines = [record(name=f"none{index}.png") for index in range(25)]
    register_segments("own_checked_file", write(folder, record(), *lines))
    report = check_dataset("own_checked_file")
    assert len(report.problems) == 25 and report.pictures == 26
    assert "error: 5 more problems" in report.text()


def test_any_registered_dataset_of_segments_is_checked_as_a_training_reads_it(folder):
    records = [
        {"file_name": folder / "a.png", "segments": (CAT, {"rle": CAT["rle"], "texts": ("cat",)})},
        {"file_name": str(folder / "b.png"), "segments": [CAT | {"texts": []}, "cat"]},
        {"file_name": str(folder / "tall.png"), "segments": [CAT]},
    ]
    with datasets.registered("own_checked", records, fgaseg_d2={"kind": "segmented"}):
        report = check_dataset("own_checked")
    assert (report.pictures, report.segments, report.without_texts) == (3, 5, 2)
    first, second, third = report.problems
    assert first.startswith("record 1: ") and 'expected "texts" as a list' in first
    assert second.endswith("segment 1: expected a dict, got 'cat'")
    assert third.startswith("record 2: ") and "21 x 30" in third
