"""Shards read before a training: what is in them, and what of it is broken."""

import logging

import pytest

from fgaseg_d2.data import register_caption_shards
from tests.conftest import ROOT, tool
from tests.shard_files import NAME, UNDECODABLE, stream, write_config, write_shards

pytestmark = pytest.mark.usefixtures("datasets_stay_in_their_test", "own_cache")


@pytest.fixture
def from_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_the_check_reads_every_picture_and_its_exit_code_tells(tmp_path, capsys, from_root):
    main = tool("check_shards").main
    changed = {11: UNDECODABLE["a file that is no picture"], 130: {"txt": b" "}}
    write_shards(tmp_path / "shards", 4, 60, changed)
    assert main([str(tmp_path / "shards"), "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "4 shards, 240 samples, 238 whole" in out and "2 of 240 samples (0.83%" in out
    assert "shorter side 40 to 40 pixels" in out and "3 to 3 words" in out
    assert "pictures a second" in out
    assert "warning: " in out and "00000.tar: 000000011: a file that is no picture\n" in out
    assert "00002.tar: 000000130: a caption of blanks\n" in out
    # Training sees what the check says.
    register_caption_shards(NAME, tmp_path / "shards")
    assert len(stream(60)) == 240
    # One more than 1 %.
    write_shards(tmp_path / "shards", 4, 60, changed | {200: {"jpg": None}})
    listed = tmp_path / "broken.txt"
    pattern = str(tmp_path / "shards" / "{00000..00003}.tar")
    assert main([pattern, "--list", str(listed)]) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("error: 3 of 240 samples (1.2%) cannot be used")
    rows = [line.split("\t") for line in listed.read_text().splitlines()]
    assert sorted((row[0][-9:], *row[1:]) for row in rows) == [
        ("00000.tar", "000000011", "a file that is no picture"),
        ("00002.tar", "000000130", "a caption of blanks"),
        ("00003.tar", "000000200", "no picture"),
    ]


def test_the_check_fails_at_a_damaged_shard_of_any_size(tmp_path, capsys):
    main = tool("check_shards").main
    write_shards(tmp_path / "shards", 2, 300)
    tail = write_shards(tmp_path / "tail", 1, 3)[0]
    tail.write_bytes(tail.read_bytes()[:-10240])
    assert main([str(tmp_path / "shards"), str(tail)]) == 1
    captured = capsys.readouterr()
    assert "tail/00000.tar: cut off after" in captured.out
    assert "1 of 3 shards are damaged" in captured.err
    assert main([str(tmp_path / "none")]) == 1
    assert "do not exist" in capsys.readouterr().err


def test_the_check_of_a_configurations_datasets_reads_shards(tmp_path, capsys, from_root):
    write_shards(tmp_path / "shards", 3, 10, {4: {"txt": None}})
    path = write_config(tmp_path, "MGCA")[1]
    assert tool("check_dataset").main([path]) == 1
    captured = capsys.readouterr()
    assert "own_shards: 3 shards, 30 samples, 29 whole" in captured.out
    assert "error: 1 files cannot be used" in captured.err


def test_the_check_names_what_is_broken_where_no_sample_is_whole(tmp_path, capsys, from_root):
    write_shards(tmp_path / "shards", 3, 2, {number: {"txt": None} for number in range(6)})
    path = write_config(tmp_path, "MGCA")[1]
    assert tool("check_dataset").main([path]) == 1
    captured = capsys.readouterr()
    assert "own_shards: 3 shards, 6 samples, 0 whole" in captured.out
    assert captured.out.count(": no caption\n") == 6
    assert "error: 6 files cannot be used" in captured.err
    # Each shard is read once: no index of it is kept for a training.
    assert not list(tmp_path.rglob("*.npz"))
    (tmp_path / "shards" / "00001.tar").unlink()
    assert tool("check_dataset").main([path]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: dataset 'own_shards': 1 of 3 shards do not exist: ")


def test_the_check_of_a_configuration_shows_20_lines_of_what_is_broken(tmp_path, capsys, from_root):
    shards = tmp_path / "shards"
    write_shards(shards, 3, 10, {number: {"txt": None} for number in range(25)})
    assert tool("check_dataset").main([write_config(tmp_path, "MGCA")[1]]) == 1
    captured = capsys.readouterr()
    assert captured.out.count("  error: ") == 21 and "  error: 5 more problems\n" in captured.out
    assert "error: 25 files cannot be used" in captured.err
    # The tool for shards names all, unless it lists them in a file.
    main = tool("check_shards").main
    assert main([str(shards)]) == 1
    assert capsys.readouterr().out.count("  error: ") == 25
    assert main([str(shards), "--list", str(tmp_path / "broken.txt")]) == 1
    assert capsys.readouterr().out.count("  error: ") == 21
