"""Shards in two real processes: each sample once an epoch, and one count of what is broken."""

import json

import pytest
import torch
from detectron2.utils import comm

from fgaseg_d2.data import loaders, register_caption_shards
from fgaseg_d2.engine.launch import launch
from tests.shard_files import NAME, cfg_for, write_shards

JUNK = {"jpg": b"no picture"}
# Of 200 samples: two may be broken, three may not.
BROKEN = {"whole": (), "few": (9, 150), "many": (9, 77, 150)}


def note_what_each_sees(folder):
    """Write what this process sees of two epochs, and how it ends."""
    seen = {}
    for name in BROKEN:
        register_caption_shards(NAME, folder / name)
        loader = loaders.build_train_loader(cfg_for("SOLVER.IMS_PER_BATCH", 20), seed=1)
        batches, files, error = iter(loader), [], ""
        try:
            for _ in range(20):
                files += [item["file_name"] for item in next(batches)]
        except ValueError as caught:
            error = str(caught)
        found = len(loader.tally.known(NAME).broken)
        seen[name] = {"files": files, "error": error, "found": found}
    (folder / f"rank{comm.get_rank()}.json").write_text(json.dumps(seen))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two processes have noted."""
    if torch.cuda.is_available():
        pytest.skip("processes would share the GPUs over NCCL")
    folder = tmp_path_factory.mktemp("shards")
    for name, broken in BROKEN.items():
        write_shards(folder / name, 5, 40, dict.fromkeys(broken, JUNK))
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("OMP_NUM_THREADS", "1")
        # None is kept: one process reads all of them, the other waits.
        changed.setenv("FVCORE_CACHE", str(folder / "cache"))
        launch(note_what_each_sees, 2, args=(folder,))
    assert len(list((folder / "cache").rglob("*.npz"))) == 15
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def test_together_they_see_every_sample_once_an_epoch(ranks):
    first, second = (rank["whole"]["files"] for rank in ranks)
    assert len(first) == len(second) == 200
    for epoch in (slice(0, 100), slice(100, 200)):
        assert not set(first[epoch]) & set(second[epoch])
        assert len({*first[epoch], *second[epoch]}) == 200


def test_what_one_passes_over_is_counted_by_all(ranks):
    few = [rank["few"] for rank in ranks]
    assert [one["error"] for one in few] == ["", ""] and [one["found"] for one in few] == [2, 2]
    many = [rank["many"] for rank in ranks]
    assert many[0]["error"] == many[1]["error"] and [one["found"] for one in many] == [3, 3]
    assert "3 of 200 samples (1.5%) cannot be used" in many[0]["error"]
    # All three were met in the first epoch, by one or the other, and both ended at that batch.
    assert len(many[0]["files"]) == len(many[1]["files"]) < 100
