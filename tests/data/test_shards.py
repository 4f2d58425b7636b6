"""Webdataset shards made elsewhere: found, indexed, shuffled, shared out, resumed."""

import sys
import tarfile

import numpy as np
import pytest
import webdataset
from detectron2.utils import comm

from fgaseg_d2.data import loaders, register_caption_shards
from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.records import dataset_records
from fgaseg_d2.data.shards import kept_indices
from fgaseg_d2.data.shards.finding import find_shards
from fgaseg_d2.data.shards.index import ShardIndex, index_shard
from fgaseg_d2.data.shards.records import ShardRecords
from fgaseg_d2.io.files import read_image
from tests.shard_files import (
    NAME,
    cfg_for,
    encoded,
    records_of,
    same,
    sample,
    stream,
    write_shard,
    write_shards,
)

pytestmark = pytest.mark.usefixtures("datasets_stay_in_their_test", "own_cache")


def test_the_pairs_are_those_of_webdatasets_own_reader(tmp_path):
    kinds = ("jpg", "png", "webp", "jpeg")
    paths = write_shards(tmp_path / "shards", kinds=kinds)
    # Further files, folders, names with dots and upper case.
    odd = {"a/b.c": sample(50), "UP": {"JPG": encoded(51), "TXT": "größer\n".encode()}}
    paths.append(write_shard(tmp_path / "shards" / "00009.tar", odd | {"__meta__/52": sample(52)}))
    theirs = []
    for item in webdataset.WebDataset(list(map(str, paths)), shardshuffle=False):
        ending = next(kind for kind in (*kinds, "c.jpg") if kind in item)
        theirs.append((item["__key__"], item[ending], item.get("txt", b"").decode().strip()))
    records = records_of(tmp_path / "shards")
    assert len(theirs) == 14 and [text for *_, text in theirs].count("") == 1
    assert [one.key for one in records.broken_part.broken] == ["a/b"]
    for record, (key, content, text) in zip(
        records, [one for one in theirs if one[2]], strict=True
    ):
        assert record["captions"] == [text]
        assert record["file_name"].rpartition(".tar/")[2].partition(".")[0] == key
        with open(record["member"].shard, "rb") as file:
            file.seek(record["member"].offset)
            assert file.read(record["member"].size) == content


@pytest.mark.parametrize(
    "form",
    ["{t}/s", "{t}/s/{{00000..00002}}.tar", "{t}/s/*.tar", "{t}/list.txt", ["{t}/s", "{t}/s/*"]],
)
def test_forms_of_naming_shards(tmp_path, form):
    paths = write_shards(tmp_path / "s")
    lines = ["# the first", "s/00000.tar", "", str(tmp_path / "s/{00001..00002}.tar")]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    if isinstance(form, list):
        (tmp_path / "list.txt").unlink()
        form = [form[0].format(t=tmp_path), paths[1]]
    else:
        form = form.format(t=tmp_path)
    assert find_shards(form) == paths
    records = records_of(form)
    # The sidecars of img2dataset count for nothing.
    assert len(records) == 12 and not records.broken_part.broken


def test_what_macos_leaves_beside_shards_is_none(tmp_path):
    paths = write_shards(tmp_path / "s")
    (tmp_path / "s" / "._00000.tar").write_bytes(b"\0\5\x16\7")
    assert find_shards(tmp_path / "s") == paths
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "._00000.tar").write_bytes(b"\0\5\x16\7")
    with pytest.raises(FileNotFoundError, match="expected .tar files in .*left', got none"):
        find_shards(tmp_path / "left")


@pytest.mark.parametrize(
    ("form", "error", "message"),
    [
        ("s/{00000..00004}.tar", FileNotFoundError, "2 of 5 shards do not exist: .*00003.tar"),
        ("s/x*.tar", FileNotFoundError, "shards that match .*got none"),
        ("empty", FileNotFoundError, "expected .tar files in .*got none"),
        ("list.txt", ValueError, "list.txt: expected the path of a shard a line, got none"),
        (
            "again.txt",
            ValueError,
            "again.txt: expected the path of a shard a line, got 'again.txt'",
        ),
        ("s/${WDS_NOT_SET}.tar", ValueError, "missing environment variable"),
        ("", ValueError, "expected shards as a folder of .tar files, a pattern .* got ''"),
        ([], ValueError, "got an empty list"),
        (7, ValueError, "expected shards as .* got 7"),
        ("s3://bucket/{0..3}.tar", ValueError, "on a disk, got the address 's3://bucket"),
    ],
    ids=["gaps", "glob", "folder", "list", "itself", "variable", "none", "no list", "7", "address"],
)
def test_what_names_no_shards_is_told_in_one_line(tmp_path, monkeypatch, form, error, message):
    write_shards(tmp_path / "s")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.txt").write_text("# nothing\n")
    (tmp_path / "again.txt").write_text("again.txt\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        records_of(form)
    assert "\n" not in str(caught.value)


def test_a_configuration_registers_them(tmp_path):
    write_shards(tmp_path)
    item = {"name": NAME, "shards": str(tmp_path / "{00000..00002}.tar")}
    assert register_configured(cfg_for("DATASETS.CAPTIONS", [item])) == [NAME]
    assert len(dataset_records(NAME)) == 12
    wrong = {"name": NAME, "shards": str(tmp_path), "images": "x"}
    with pytest.raises(ValueError, match="item 1: unknown key 'images'; the keys are name, shards"):
        register_configured(cfg_for("DATASETS.CAPTIONS", [wrong]))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"name": NAME, "shard": "a"}, "unknown key 'shard'; did you mean 'shards'?"),
        (
            {"name": NAME, "tar": "a"},
            "unknown key 'tar'; the keys are name, file, images, columns, shards",
        ),
        ({"name": NAME}, "expected the keys name, file or name, shards; add 'file' or 'shards'"),
        ({"shards": "a"}, "expected the keys name, shards; add 'name'"),
        ({}, "expected the keys name, file or name, shards; add 'name'"),
        ("a", "expected {name: ..., file: ...} or {name: ..., shards: ...}, got 'a'"),
    ],
)
def test_an_item_of_no_form_is_told_all_that_there_are(item, message):
    with pytest.raises(ValueError) as caught:
        register_configured(cfg_for("DATASETS.CAPTIONS", [item]))
    assert str(caught.value) == f"DATASETS.CAPTIONS, item 1: {message}"


def test_a_missing_extra_is_told_in_one_line(tmp_path, monkeypatch):
    write_shards(tmp_path)
    for module in [name for name in sys.modules if name.split(".")[0] == "webdataset"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [_Without("webdataset"), *sys.meta_path])
    with pytest.raises(ImportError, match=r"the library webdataset, .* 'fgaseg_d2\[mgca\]'") as e:
        records_of(tmp_path)
    assert "\n" not in str(e.value)


class _Without:
    """A finder of modules for which one library is not installed."""

    def __init__(self, library):
        self.library = library

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=self.library)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ranks", [1, 2])
def test_ranks_and_workers_see_every_sample_once_an_epoch(tmp_path, monkeypatch, ranks, workers):
    register_caption_shards(NAME, [str(path) for path in write_shards(tmp_path)])
    seen = []
    monkeypatch.setattr(comm, "get_world_size", lambda: ranks)
    # What a rank has passed over is nothing here, whoever asks.
    monkeypatch.setattr(comm, "all_gather", lambda found: [found] * ranks)
    for rank in range(ranks):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        seen.append([item["file_name"] for item in stream(6, workers)])
    # 6 batches of 4 over all ranks are two epochs of 12.
    alone = [seen[at % ranks][at // ranks] for at in range(24)]
    wanted = {record["file_name"] for record in dataset_records(NAME)}
    assert len(wanted) == 12 and set(alone[:12]) == set(alone[12:]) == wanted
    assert alone[:12] != alone[12:] and alone[:12] != sorted(alone[:12])


def test_a_resumed_stream_is_the_uninterrupted_one(tmp_path):
    broken = {5: {"jpg": encoded(5)[:200]}}
    register_caption_shards(NAME, write_shards(tmp_path, 6, 20, broken)[0].parent)
    whole = stream(40)
    assert len({item["file_name"] for item in whole}) == 119
    for workers, start in ((0, 17), (2, 17), (3, 39)):
        assert same(stream(40 - start, workers, start), whole[4 * start :])
    assert not same(stream(3, seed=6), whole[:12])


def test_pictures_are_those_of_the_files(tmp_path):
    paths = write_shards(tmp_path, 1, 4, kinds=("jpg", "png", "webp"))
    cfg = cfg_for("INPUT.CROP.ENABLED", False, "INPUT.RANDOM_FLIP", "none")
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.COLOR_AUG_SSD = (40,), False
    register_caption_shards(NAME, paths)
    batch = next(iter(loaders.build_train_loader(cfg, seed=0)))
    with tarfile.open(paths[0]) as tar:
        for item in batch:
            name = item["file_name"].rpartition("/")[2]
            image = read_image(tar.extractfile(name).read())
            assert np.array_equal(item["image"].permute(1, 2, 0).numpy(), image)
            assert item["caption"] == f"picture number {int(name.partition('.')[0])}"
            assert (item["height"], item["width"]) == (40, 56)


def test_the_index_is_kept_until_a_shard_changes(tmp_path, monkeypatch, caplog):
    paths = write_shards(tmp_path / "s", 2, 3, {4: {"txt": b" "}})
    first = records_of(tmp_path / "s")
    read = []
    monkeypatch.setattr(
        kept_indices, "each", lambda function, items, *_: read.extend(items) or map(function, items)
    )
    again = records_of(tmp_path / "s")
    assert list(again) == list(first) and again.broken_part == first.broken_part and read == []
    write_shard(paths[0], {9: sample(9)})
    assert len(records_of(tmp_path / "s")) == 3 and read == [paths[0]]
    # A damaged index is read anew, and a cache that cannot be written is no error.
    for kept in (tmp_path / "cache" / "fgaseg_d2" / "shards").glob("*.npz"):
        kept.write_bytes(b"nonsense")
    assert len(records_of(tmp_path / "s")) == 3 and len(read) == 3
    # Each once, although it is looked at again when no other process reads.
    told = [one for one in caplog.messages if one.startswith("Ignored the damaged index")]
    assert len(told) == 2
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "s" / "00000.tar"))
    assert len(records_of(tmp_path / "s")) == 3 and len(read) == 5


def test_a_shard_that_grows_as_it_is_read_is_read_again(tmp_path, monkeypatch):
    path = write_shards(tmp_path / "s", 1, 6)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    def index_and_finish(shard):
        index = index_shard(shard)
        path.write_bytes(whole)
        return index

    monkeypatch.setattr(kept_indices, "index_shard", index_and_finish)
    assert 0 < len(records_of(tmp_path / "s")) < 6
    again = records_of(tmp_path / "s")
    assert len(again) == 6 and not again.broken_part.broken


def test_a_shard_that_changes_in_a_training_is_told(tmp_path):
    paths = write_shards(tmp_path, 1, 8)
    records = records_of(tmp_path)
    paths[0].write_bytes(b"\xff" * paths[0].stat().st_size)
    with pytest.raises(ValueError, match="the shard has changed since it was first read") as caught:
        records[3]
    paths[0].unlink()
    with pytest.raises(FileNotFoundError):
        records[3]
    assert "\n" not in str(caught.value)


def test_millions_of_samples_take_little_memory(tmp_path):
    count = 100_000
    index = ShardIndex(
        places=np.ones((count, 4), np.int64),
        names=np.frombuffer(b"000000000.jpg" * count, np.uint8),
        name_ends=np.arange(1, count + 1, dtype=np.int64) * 13,
        broken=(),
    )
    records = ShardRecords([f"{n:05d}.tar" for n in range(3)], [index] * 3)
    held = sum(value.nbytes for value in vars(records).values() if isinstance(value, np.ndarray))
    assert len(records) == 3 * count and held / len(records) < 60
    assert len(records[10:20]) == 10 and records.broken(2 * count, "x").shard == "00002.tar"
    assert records.broken(3, "x").key == "000000000"
