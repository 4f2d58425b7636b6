"""Half-written files: never visible, never left by what ends early, swept up after a kill."""

import errno
import json
import multiprocessing
import os
import resource
import signal
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from fgaseg_d2 import parallel
from fgaseg_d2.checkpoint.files import write_checkpoint
from fgaseg_d2.io.files import atomic_path, prepare_folder, write_json
from fgaseg_d2.io.partial_files import PARTIAL, remove_leftovers
from tests.processes import alive, wait_until

fork = multiprocessing.get_context("fork")


def hidden(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith(PARTIAL))


def write_and_wait(path: Path, begun, end) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        begun.set()
        end.wait()
        temporary.write_text("whole")


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of the file "a.pth", and the event that lets it end."""
    begun, end = fork.Event(), fork.Event()
    process = fork.Process(target=write_and_wait, args=(tmp_path / "a.pth", begun, end))
    process.start()
    begun.wait()
    yield process, end
    process.kill()
    process.join()


def test_what_a_living_process_writes_stays(tmp_path, writer):
    process, end = writer
    remove_leftovers(tmp_path)
    prepare_folder(tmp_path)
    write_json(tmp_path / "b.json", {})
    assert len(hidden(tmp_path)) == 1
    end.set()
    process.join()
    assert process.exitcode == 0 and (tmp_path / "a.pth").read_text() == "whole"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("next_run", [remove_leftovers, prepare_folder, "write"])
def test_what_a_killed_process_wrote_goes_with_the_next_run(tmp_path, writer, next_run):
    process, _ = writer
    process.kill()
    process.join()
    assert len(hidden(tmp_path)) == 1
    if next_run == "write":
        # In a process of its own, as this one may have swept here before.
        other = fork.Process(target=write_json, args=(tmp_path / "a.pth", {}))
        other.start()
        other.join()
        assert json.loads((tmp_path / "a.pth").read_text()) == {}
    else:
        next_run(tmp_path)
    assert hidden(tmp_path) == []


def test_what_is_not_ours_stays(tmp_path):
    (tmp_path / ".partial-folder").mkdir()
    os.mkfifo(tmp_path / ".partial-pipe")
    (tmp_path / "target").touch()
    (tmp_path / ".partial-link").symlink_to(tmp_path / "target")
    (tmp_path / ".partial").touch()
    (tmp_path / "a.partial-b").touch()
    before = sorted(os.listdir(tmp_path))
    if os.geteuid() == 0:
        (tmp_path / ".partial-other.pth").touch()
        os.chown(tmp_path / ".partial-other.pth", 65534, 65534)
        before.append(".partial-other.pth")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(before)


def test_a_folder_that_is_not_there_holds_no_leftovers(tmp_path):
    remove_leftovers(tmp_path / "none")
    remove_leftovers("/dev/null")
    assert os.listdir(tmp_path) == []


def test_threads_never_make_a_file_that_all_may_write(tmp_path):
    """A changed umask is one for all threads, and a file made meanwhile has it."""
    stop, modes = threading.Event(), set()

    def make() -> None:
        number = 0
        while not stop.is_set():
            path = tmp_path / f"plain{number}"
            path.touch()
            modes.add(stat.S_IMODE(path.stat().st_mode))
            path.unlink()
            number += 1

    umask = os.umask(0o022)
    try:
        with ThreadPoolExecutor(2) as pool:
            other = pool.submit(make)
            for number in range(300):
                write_json(tmp_path / f"{number % 3}.json", {})
            stop.set()
            other.result()
    finally:
        os.umask(umask)
    assert modes == {0o644}
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob("*.json")} == {0o644}


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o666 & ~umask


def write_slowly(item: tuple[Path, int]) -> None:
    """Fail at once on the first item; write half a file, wait, and write the rest of the others."""
    path, number = item
    if number == 0:
        _BEGUN.wait()
        raise OSError(errno.ENOSPC, "No space left on device")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(b"half")
        file.flush()
        _BEGUN.set()
        # Until this process is told to end, which must not happen in the middle of a file.
        _STOPPED.wait()
        file.write(b"whole")


# Inherited by the workers.
_BEGUN, _STOPPED, _PIDS = fork.Event(), fork.Event(), fork.SimpleQueue()


def test_a_worker_ends_its_file_before_it_ends(tmp_path, monkeypatch):
    _BEGUN.clear()
    _STOPPED.clear()

    def stop(processes):
        for process in processes:
            process.terminate()
        _STOPPED.set()
        original(processes)

    original = parallel._stop
    monkeypatch.setattr(parallel, "_stop", stop)
    items = [(tmp_path / f"{number}.bin", number) for number in range(2)]
    with pytest.raises(OSError, match="No space left"):
        list(parallel.each(write_slowly, items, 2, "files"))
    assert os.listdir(tmp_path) == ["1.bin"]
    assert (tmp_path / "1.bin").read_bytes() == b"halfwhole"


def write_for_ever(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        _BEGUN.set()
        while True:
            signal.pause()


def fail_once_begun(item: Path) -> None:
    if item.name == "1.bin":
        write_for_ever(item)
    _BEGUN.wait()
    raise OSError(errno.EIO, "Input/output error")


def test_a_worker_that_a_dead_disk_holds_is_killed(tmp_path, monkeypatch):
    _BEGUN.clear()
    monkeypatch.setattr(parallel, "_PATIENCE", 0.1)
    with pytest.raises(OSError, match="Input/output error"):
        list(parallel.each(fail_once_begun, [tmp_path / "0.bin", tmp_path / "1.bin"], 2, "files"))
    assert len(hidden(tmp_path)) == 1
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


def tell_and_write(item: tuple[Path, int]) -> None:
    _PIDS.put(os.getpid())
    write_slowly(item)


def work(folder: Path) -> None:
    list(parallel.each(tell_and_write, [(folder / f"{n}.bin", n) for n in (1, 2)], 2, "files"))


def test_workers_of_a_killed_process_end_their_files(tmp_path):
    _STOPPED.clear()
    parent = fork.Process(target=work, args=(tmp_path,))
    parent.start()
    workers = [_PIDS.get(), _PIDS.get()]
    wait_until(lambda: len(hidden(tmp_path)) == 2)
    parent.kill()
    parent.join()
    _STOPPED.set()
    wait_until(lambda: not any(alive(pid) for pid in workers))
    assert sorted(os.listdir(tmp_path)) == ["1.bin", "2.bin"]


def write_for_long(folder: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    while True:
        write_checkpoint(folder / name, tensors)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_what_a_kill_leaves_of_a_checkpoint_goes_with_the_next_run(tmp_path, name):
    tensors = {str(number): torch.zeros(1_000_000) for number in range(10)}
    process = fork.Process(target=write_for_long, args=(tmp_path, name, tensors))
    process.start()
    wait_until(lambda: {*os.listdir(tmp_path)} - {name})
    process.kill()
    process.join()
    prepare_folder(tmp_path)
    assert {*os.listdir(tmp_path)} <= {name}


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_json(tmp_path / "a.json", ["word"] * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]
