"""Broken samples of shards: named, counted, passed over; more than 1 % is an error."""

import json
import logging

import pytest
import torch

import train_net
from fgaseg_d2.data import loaders, register_caption_shards
from fgaseg_d2.data.records import dataset_records
from tests.conftest import ROOT
from tests.shard_files import (
    NAME,
    UNDECODABLE,
    cfg_for,
    encoded,
    records_of,
    same,
    sample,
    stream,
    write_config,
    write_shard,
    write_shards,
)

pytestmark = pytest.mark.usefixtures("datasets_stay_in_their_test", "own_cache")

# What is wrong with a sample -> its files, and what is said of it.
WRONG = {
    "no caption": {"txt": None},
    "an empty caption": {"txt": b""},
    "a caption of blanks": {"txt": b" \n\t\0"},
    "a caption that is no UTF-8": {"txt": "Würfel".encode("latin-1")},
    "a caption of 70,000 bytes": {"txt": b"a" * 70_000},
    "no picture": {"jpg": None},
    "an empty picture": {"jpg": b""},
}


def warnings_in(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_samples_without_what_they_need_are_named_by_shard_and_key(tmp_path):
    changed = {13 + number: files for number, files in enumerate(WRONG.values())}
    paths = write_shards(tmp_path, 2, 12, changed)
    records = records_of(tmp_path)
    assert {(b.shard, b.key, b.reason) for b in records.broken_part.broken} == {
        (str(paths[1]), f"{13 + number:09d}", reason) for number, reason in enumerate(WRONG)
    }
    assert len(records) == 24 - len(WRONG) and records.broken_part.total == 24
    # The rest is what it was.
    assert [record["captions"][0] for record in records] == [
        f"picture number {number}" for number in range(24) if number not in changed
    ]


def test_a_second_file_of_a_name_is_named(tmp_path):
    files = sample(1)
    write_shard(tmp_path / "00000.tar", {"x": files, "y": sample(2)})
    write_shard(tmp_path / "00001.tar", {"x": files, "y": files | {"JPG": encoded(3)}})
    records = records_of(tmp_path)
    assert [str(b) for b in records.broken_part.broken] == [
        f"{tmp_path / '00001.tar'}: y.JPG: a second file of this name"
    ]
    assert len(records) == 4


def without_header(data):
    """A shard of which the header of the fourth file is overwritten."""
    at = data.index(b"000000011.json")
    return data[:at] + b"\7" * 512 + data[at + 512 :]


@pytest.mark.parametrize(
    ("damage", "left", "reason"),
    [
        (lambda data: data[: len(data) // 2], range(1, 9), "cut off after"),
        (lambda data: b"<html>no such bucket</html>", [0], "no tar file (27 bytes)"),
        (lambda data: b"", [0], "an empty file"),
        (lambda data: bytes(10240), [0], "a tar without files"),
        (lambda data: b"\x1f\x8b\x08" + data, [0], "compressed by gzip"),
        (without_header, range(9), "damaged at byte"),
        (lambda data: data[:20480] + bytes(2**21), range(1, 9), "nothing but zeros from byte"),
    ],
    ids=["cut", "html", "empty", "no files", "gzip", "header", "hole"],
)
def test_damaged_shards_are_named_and_what_is_lost_of_them_is_estimated(
    tmp_path, damage, left, reason
):
    paths = write_shards(tmp_path, 3, 10)
    paths[1].write_bytes(damage(paths[1].read_bytes()))
    records = records_of(tmp_path)
    first = records.broken_part.broken[0]
    assert (first.shard, first.key) == (str(paths[1]), "") and first.reason.startswith(reason)
    there = len(records) - 20
    assert there in left
    # As many as in the others: what is left, what is broken, and what is lost.
    assert records.broken_part.total == 30 and records.broken_part.number == 10 - there
    with pytest.raises(ValueError, match="expected at most 1% broken samples, but about") as caught:
        loaders.build_train_loader(cfg_for(), seed=0)
    assert "\n" not in str(caught.value) and paths[1].name in str(caught.value)


def test_a_cut_at_any_byte_leaves_the_samples_before_it(tmp_path):
    """Whatever byte a shard ends at: no other error, and no sample of what is not there."""
    path = write_shards(tmp_path, 1, 3)[0]
    data = path.read_bytes()
    header, text = 512, len("picture number 0")
    ends = [data.index(f"{number:09d}.txt".encode()) + header + text for number in range(3)]
    for size in (*range(1, len(data), 997), *ends, *(end - 1 for end in ends)):
        path.write_bytes(data[:size])
        whole = sum(size >= end for end in ends)
        register_caption_shards(NAME, path)
        if whole == 0:
            with pytest.raises(ValueError, match="expected whole samples .*00000.tar: "):
                dataset_records(NAME)
            continue
        records = dataset_records(NAME)
        texts = [record["captions"][0] for record in records]
        assert texts == [f"picture number {number}" for number in range(whole)]
        # A block of zeros behind the last file's is the mark of the end.
        assert bool(records.broken_part.broken) == (size < ends[-1] + (512 - text) + 512)


@pytest.mark.parametrize("reason", UNDECODABLE)
def test_another_sample_takes_the_place_of_a_picture_that_cannot_be_decoded(
    tmp_path, caplog, reason
):
    paths = write_shards(tmp_path, 5, 30, {40: UNDECODABLE[reason]})
    register_caption_shards(NAME, tmp_path)
    first = stream(76, workers=0)
    names = {item["file_name"] for item in first[:152]}
    assert len(names) == 149 and f"{paths[1]}/000000040.jpg" not in names
    told = [text for text in warnings_in(caplog) if "passed over" in text]
    # Named once, although every epoch meets it again.
    assert len(told) == 1 and told[0].startswith(f"{NAME}: passed over {paths[1]}: 000000040: ")
    assert reason in told[0] and told[0].endswith("(1 broken so far)")
    assert "passed_over" not in first[0].keys() | first[-1].keys()
    # The same one takes its place for any number of workers, and from any iteration on.
    assert same(stream(40, workers=2), first[:160])
    assert same(stream(6, workers=1, start=34), first[136:160])


@pytest.mark.parametrize("workers", [0, 2])
def test_more_than_one_percent_end_the_training(tmp_path, workers):
    changed = {number: UNDECODABLE["a file that is no picture"] for number in (3, 77, 140)}
    paths = write_shards(tmp_path, 5, 40, changed)
    register_caption_shards(NAME, tmp_path)
    with pytest.raises(ValueError, match="3 of 200 samples .1.5%. cannot be used: ") as caught:
        stream(100, workers)
    message = str(caught.value)
    assert "\n" not in message and f"dataset '{NAME}'" in message
    assert f"/{paths[1].name}: " in message or f"/{paths[3].name}: " in message
    # Two are exactly 1 %.
    write_shards(tmp_path, 5, 40, {number: changed[3] for number in (3, 77)})
    assert len(stream(100, workers)) == 400


def test_a_dataset_of_nothing_but_broken_pictures_ends_at_once(tmp_path):
    write_shards(tmp_path, 2, 60, {n: UNDECODABLE["a file that is no picture"] for n in range(120)})
    register_caption_shards(NAME, tmp_path)
    with pytest.raises(ValueError, match="expected at most 1% broken samples") as caught:
        stream(1)
    assert "\n" not in str(caught.value)


@pytest.fixture
def from_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


@pytest.mark.parametrize("method", ["MGCA", "CLIPPretraining"])
def test_methods_train_on_shards_and_go_on_where_they_were(tmp_path, method, from_root):
    write_shards(tmp_path / "shards", 3, 40, {5: {"txt": None}}, kinds=("jpg", "webp"))
    weights = []
    for name, steps in (("whole", [[4]]), ("parts", [[2], [4, "--resume"]])):
        output = tmp_path / name
        for most, *flags in steps:
            arguments = write_config(tmp_path, method, "SOLVER.MAX_ITER", most)
            arguments += ["OUTPUT_DIR", str(output), "SOLVER.LR_SCHEDULER_NAME"]
            arguments += ["WarmupMultiStepLR", "SOLVER.STEPS", "()"]
            assert train_net.main([*flags, *arguments]) == 0
        weights.append(torch.load(output / "model_final.pth", weights_only=False)["model"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    log = (tmp_path / "parts" / "log.txt").read_text()
    assert "1 of 120 samples (0.8%) cannot be used: shards/00000.tar: 000000005: no caption" in log
    # Pictures seen of all, those before the resuming included.
    assert "pictures: 8 of 8, " in log and "pictures: 16 of 16, " in log
    lines = (tmp_path / "parts" / "metrics.json").read_text().splitlines()
    assert [json.loads(line)["pictures"] for line in lines][-1] == 16


def test_a_run_on_shards_that_are_too_broken_ends_with_one_line(tmp_path, from_root, capsys):
    shards = write_shards(tmp_path / "shards", 3, 10)
    shards[2].write_bytes(b"no tar")
    assert train_net.main(write_config(tmp_path, "MGCA")) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: dataset '{NAME}': expected at most 1% broken samples")
    assert "shards/00002.tar: no tar file (6 bytes)" in error and len(error) < 450
