"""The loaders: the stream depends on seed and iteration only, and datasets are checked."""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from fgaseg_d2.data import loaders as build
from fgaseg_d2.data.seeding import derived_seed, seeded
from tests import datasets
from tests.conftest import ROOT, config
from tests.processes import PATIENCE


def small_config(*opts):
    return config(
        "tests/data/small.yaml",
        *("DATASETS.TRAIN", ("blocks",), "DATASETS.TEST", ("blocks",), "SOLVER.IMS_PER_BATCH", 2),
        *("INPUT.MIN_SIZE_TRAIN", (48, 60), "INPUT.CROP.SIZE", [32, 32]),
        *("DATALOADER.NUM_WORKERS", 0, *opts),
    )


@pytest.fixture(autouse=True)
def blocks(tmp_path):
    records = datasets.write_blocks(tmp_path, count=5)
    with datasets.registered("blocks", records, ignore_label=255):
        yield records


def batches(loader, count):
    stream = iter(loader)
    return [next(stream) for _ in range(count)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(sum(first, []), sum(second, []), strict=True):
        assert one["file_name"] == other["file_name"]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["sem_seg"], other["sem_seg"])


@pytest.mark.parametrize("workers", [1, 2])
def test_stream_is_the_same_for_any_number_of_workers(workers):
    alone = build.build_train_loader(small_config(), seed=3)
    together = build.build_train_loader(small_config("DATALOADER.NUM_WORKERS", workers), seed=3)
    assert_same(batches(alone, 6), batches(together, 6))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_stream_continues_at_any_iteration(accumulate):
    cfg = small_config("SOLVER.ACCUMULATE_STEPS", accumulate)
    whole = batches(build.build_train_loader(cfg, seed=3), 4 * accumulate)
    later = build.build_train_loader(cfg, seed=3)
    later.start_iter = 3
    assert_same(whole[3 * accumulate :], batches(later, accumulate))


def test_seeds_differ():
    first, second = (build.build_train_loader(small_config(), seed=seed) for seed in (0, 1))
    images = [
        [sample["image"].float().mean().item() for sample in sum(batches(loader, 5), [])]
        for loader in (first, second)
    ]
    assert images[0] != images[1]


def test_every_epoch_has_every_sample_once_and_another_order():
    stream = iter(build.PositionSampler(sizes=[7], batch_size=2, seed=0))
    pairs = [next(stream) for _ in range(21)]
    assert [position for position, _ in pairs] == list(range(21))
    epochs = [[index for _, index in pairs[start : start + 7]] for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_stream(world_size):
    options = {"sizes": [5, 3], "batch_size": 6, "seed": 1, "start": 6}
    alone = iter(build.PositionSampler(**options))
    wanted = [next(alone) for _ in range(4 * world_size)]
    ranks = [
        iter(build.PositionSampler(**options, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert [next(rank) for _ in range(4) for rank in ranks] == wanted


def test_augmentation_differs_between_epochs_and_leaves_other_random_numbers_alone():
    with seeded(derived_seed(5)):
        wanted = (random.random(), np.random.rand(), torch.rand(()).item())
    with seeded(derived_seed(5)):
        samples = sum(batches(build.build_train_loader(small_config(), seed=0), 10), [])
        drawn = (random.random(), np.random.rand(), torch.rand(()).item())
    # The iterator of PyTorch's own loader draws one number from its generator.
    assert drawn[:2] == wanted[:2]
    views = {sample["image"].numpy().tobytes() for sample in samples}
    assert len(views) > 10


def test_datasets_are_joined(tmp_path):
    records = datasets.write_blocks(tmp_path / "more", count=3)
    with datasets.registered("more", records):
        loader = build.build_train_loader(
            small_config("DATASETS.TRAIN", ("blocks", "more")), seed=0
        )
        names = {sample["file_name"] for sample in sum(batches(loader, 4), [])}
    assert len(names) == 8


def test_datasets_with_other_words_take_turns(blocks, tmp_path):
    more = datasets.write_blocks(tmp_path / "more", count=3)
    words = ["warm", "fresh", "cold", "dull"]
    cfg = small_config("DATASETS.TRAIN", ("blocks", "words", "copies"))
    with (
        datasets.registered("words", more, stuff_classes=words),
        datasets.registered("copies", [{**record, "copy": True} for record in blocks]),
    ):
        loader = build.build_train_loader(cfg, seed=0)
        stream = batches(loader, 30)
        loader.start_iter = 7
        assert_same(stream[7:20], batches(loader, 13))
    vocabularies = [{sample["vocabulary"].class_names for sample in batch} for batch in stream]
    assert vocabularies == 15 * [{datasets.CLASSES}, {tuple(words)}]
    # Of 15 batches of 2 each, every epoch of 10 (blocks and copies) or 3 has every sample once.
    first = [(sample["file_name"], "copy" in sample) for sample in sum(stream[::2], [])]
    second = [sample["file_name"] for sample in sum(stream[1::2], [])]
    assert [len(set(first[start : start + 10])) for start in (0, 10, 20)] == [10, 10, 10]
    assert all(len(set(second[start : start + 3])) == 3 for start in range(0, 30, 3))


def test_each_dataset_has_its_own_ignore_label(tmp_path):
    label = np.full((48, 64), 7, np.uint8)
    record = datasets.write_pair(tmp_path, "seven", np.zeros((48, 64, 3), np.uint8), label)
    cfg = small_config("DATASETS.TRAIN", ("blocks", "sevens"))
    with datasets.registered("sevens", [record], ignore_label=7):
        samples = sum(batches(build.build_train_loader(cfg, seed=0), 3), [])
    seven = next(sample for sample in samples if "seven" in sample["file_name"])
    assert (seven["sem_seg"] == 255).all()


WORKER = """
import multiprocessing, os, signal, threading
from fgaseg_d2.parallel import end_with_parent

def work(queue):
    end_with_parent(0)
    queue.put(os.getpid())
    threading.Event().wait()

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    context.Process(target=work, args=(queue,)).start()
    print(queue.get(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_worker_ends_with_its_parent(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WORKER, encoding="utf-8")
    # The worker holds the pipe: this returns when both have ended.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, timeout=PATIENCE
    )
    assert result.returncode == -signal.SIGKILL
    assert int(result.stdout) > 0


def test_test_loader_yields_every_sample_once(blocks):
    samples = sum(build.build_test_loader(small_config(), "blocks"), [])
    assert [sample["file_name"] for sample in samples] == [one["file_name"] for one in blocks]


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (("DATASETS.TRAIN", ()), "DATASETS.TRAIN is empty"),
        (
            ("DATASETS.TRAIN", ("blocsk",)),
            "'blocsk' is not registered; the nearest names are block",
        ),
        (("DATASETS.TRAIN", ("blocks", "classless")), "'classless' has no stuff_classes"),
        (("DATASETS.TRAIN", ("unlabelled",)), r"record 1 \(b.png\) has no sem_seg_file_name"),
        (("DATASETS.TRAIN", ("nothing",)), "'nothing' is empty"),
        (("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler"), "'TrainingSampler', got"),
        (("SOLVER.IMS_PER_BATCH", 0), "IMS_PER_BATCH to be a positive multiple"),
    ],
)
def test_bad_configurations_are_refused_in_one_line(blocks, opts, message):
    unlabelled = [blocks[0], {"file_name": "b.png"}]
    with (
        datasets.registered("classless", blocks, stuff_classes=[]),
        datasets.registered("unlabelled", unlabelled),
        datasets.registered("nothing", []),
        pytest.raises(ValueError, match=message) as caught,
    ):
        build.build_train_loader(small_config(*opts), seed=0)
    assert "\n" not in str(caught.value)


def test_batch_must_be_shared_by_the_ranks(monkeypatch):
    monkeypatch.setattr(build.comm, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match=r"multiple of the number of processes \(3\), got 2"):
        build.build_train_loader(small_config(), seed=0)


def test_ignore_value_is_moved_where_it_is_a_class(blocks):
    classes = [f"class {index}" for index in range(300)]
    cfg = small_config("DATASETS.TRAIN", ("many",))
    with datasets.registered("many", blocks, stuff_classes=classes):
        legal = build.with_legal_ignore_value(cfg)
        build.build_train_loader(legal, seed=0)
    assert legal.MODEL.SEM_SEG_HEAD.IGNORE_VALUE == 65535
    assert cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE == 255
    assert build.with_legal_ignore_value(small_config()).MODEL.SEM_SEG_HEAD.IGNORE_VALUE == 255
