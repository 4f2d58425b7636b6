"""A function over many items in several processes, or in this one."""

import multiprocessing

import pytest

from fgaseg_d2.parallel import each, worker_count


def process_of(item):
    return item, multiprocessing.current_process().pid


def work(workers, sender):
    own = multiprocessing.current_process().pid
    found = list(each(process_of, range(8), workers, "items"))
    sender.send(([item for item, _ in found], {pid for _, pid in found} == {own}))


@pytest.mark.parametrize("workers", [3, None])
@pytest.mark.parametrize("daemon", [True, False])
def test_a_daemon_may_start_no_processes_and_works_itself(workers, daemon, monkeypatch):
    monkeypatch.setattr("fgaseg_d2.parallel.available_processors", lambda: 2)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(workers, sender), daemon=daemon)
    process.start()
    assert receiver.poll(60)
    assert receiver.recv() == (list(range(8)), daemon)
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("wanted", "items", "count"), [(3, 8, 3), (3, 2, 2), (0, 8, 1), (5, 0, 1), (9999, 9999, 1024)]
)
def test_there_are_no_more_processes_than_items(wanted, items, count):
    assert worker_count(wanted, items) == count
