"""A run that ends early loses nothing, leaves nothing half-written, and is continued."""

import os
import resource
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2 import parallel
from fgaseg_d2.data.preparation.prepared_files import only_run
from tests.data.preparation.command import (
    assert_prepared,
    label_path,
    labels,
    snapshot,
    split_of,
    start,
)
from tests.data.preparation.test_benchmarks import big_ade_pair
from tests.processes import PATIENCE, alive, children_of, wait_until
from tests.raw_trees import write

MASKS = "VOCdevkit/VOC2012/SegmentationClass"


# Python imports this by itself when it starts; workers see it as well.
HOLD = """
import os, sys, time

def hold(event, arguments):
    while event == "open" and str(arguments[0]).endswith(os.environ["HELD_FILE"]):
        time.sleep(1)

sys.addaudithook(hold)
"""


def held_at(path: Path, folder: Path) -> dict[str, str]:
    """What to add to the environment of a program, so that it waits when it opens a file."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HOLD, encoding="utf-8")
    return {"PYTHONPATH": str(folder), "HELD_FILE": path.name}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_stopped_run_is_continued(sent, command, tmp_path):
    truth = write("pascal_voc", tmp_path, count=6)
    blocked = tmp_path / MASKS / "2007_000036.png"
    process = start(
        "pascal_voc",
        "--root",
        tmp_path,
        "--workers",
        2,
        environ=held_at(blocked, tmp_path / "held"),
        # A shell starts background jobs, such as a test run, with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        # The other worker has done all the rest.
        folder = tmp_path / split_of("pascal_voc_20b_val").label_dir
        wait_until(lambda: len(list(folder.glob("2007*.png"))) == 5)
        workers = children_of(process.pid)
        assert len(workers) == 2
        if sent == signal.SIGINT:
            os.killpg(process.pid, sent)  # as a terminal does
        else:
            process.send_signal(sent)
        _, errors = process.communicate(timeout=PATIENCE)
        wait_until(lambda: not any(alive(pid) for pid in workers))
    finally:
        process.kill()
    assert process.returncode == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    if sent == signal.SIGINT:
        assert errors.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "Traceback" not in errors
    assert_prepared(tmp_path, truth, without="2007_000036")

    before = label_path(tmp_path, "pascal_voc_20_val", "2007_000033").stat().st_mtime_ns
    done = command("pascal_voc")
    assert done.code == 0
    assert "pascal_voc_20_val: 1 made, 5 already there, 0 bad" in done.out
    assert label_path(tmp_path, "pascal_voc_20_val", "2007_000033").stat().st_mtime_ns == before
    assert_prepared(tmp_path, truth)


def test_finished_files_are_not_touched_again(command, tmp_path):
    write("ade20k_847", tmp_path)
    assert command("ade20k_847").code == 0
    folders = [tmp_path / "ADE20K_2021_17_01" / f for f in ("annotations", "images")]
    before = [snapshot(folder.with_name(f"{folder.name}_detectron2")) for folder in folders]
    done = command("ade20k_847", workers=2)
    assert "ade20k_847_val: 0 made, 3 already there, 0 bad" in done.out
    after = [snapshot(folder.with_name(f"{folder.name}_detectron2")) for folder in folders]
    assert after == before


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def empty(path):
    path.write_bytes(b"")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def narrow(path):
    Image.fromarray(np.zeros((37, 55), np.uint8)).save(path)


@pytest.mark.parametrize("damage", [cut, empty, zeros, narrow])
def test_half_written_files_are_made_anew(damage, command, tmp_path):
    truth = write("ade20k_847", tmp_path)
    command("ade20k_847")
    damage(label_path(tmp_path, "ade20k_847_val", "ADE_val_00000002"))
    if damage is not narrow:
        picture = tmp_path / split_of("ade20k_847_val").image_dir / "ADE_val_00000003.jpg"
        whole = picture.read_bytes()
        damage(picture)
    done = command("ade20k_847")
    assert done.code == 0
    assert f"{1 if damage is narrow else 2} made" in done.out
    assert_prepared(tmp_path, truth)
    if damage is not narrow:
        assert picture.read_bytes() == whole


def test_leftovers_of_a_killed_run_are_removed(command, tmp_path):
    truth = write("ade20k_847", tmp_path)
    folders = [split_of("ade20k_847_val").label_dir, split_of("ade20k_847_val").image_dir]
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / ".partial-a8_x.png").write_bytes(b"\x89PNG half")
    assert command("ade20k_847").code == 0
    assert not list(tmp_path.rglob(".partial-*"))
    assert_prepared(tmp_path, truth)


def test_labels_without_a_raw_file_are_named(command, tmp_path):
    write("pascal_voc", tmp_path)
    command("pascal_voc")
    extra = label_path(tmp_path, "pascal_voc_20b_val", "2007_009999")
    shutil.copy(label_path(tmp_path, "pascal_voc_20b_val", "2007_000033"), extra)
    for words in ((), ("--check",)):
        done = command("pascal_voc", *words)
        assert done.code == 1 and [line for line in done.errors() if str(extra) in line]


def test_labels_of_other_programs_are_a_warning(command, tmp_path):
    write("ade20k_847", tmp_path)
    command("ade20k_847")
    foreign = label_path(tmp_path, "ade20k_847_val", "ADE_val_00000001").with_suffix(".tif")
    foreign.write_bytes(b"II*")
    done = command("ade20k_847", "--check")
    assert done.code == 0 and f"such as {foreign.name}" in done.err


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_is_one_line_and_room_continues(workers, command, tmp_path):
    big_ade_pair(tmp_path, 300, 300)
    big_ade_pair(tmp_path, 300, 300, "ADE_val_00000002")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # writing more fails
    try:
        done = command("ade20k_847", workers=workers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert done.code == 1 and "Traceback" not in done.err
    (line,) = done.err.splitlines()
    assert line.startswith("error: cannot write ") and "run the same command again" in line
    assert not list(tmp_path.rglob(".partial-*"))
    assert labels(tmp_path, "ade20k_847_val") == {}
    assert command("ade20k_847").code == 0
    assert len(labels(tmp_path, "ade20k_847_val")) == 2


@pytest.mark.parametrize("place", ["", "/val2017"])
def test_output_folder_that_cannot_be_made(place, command, tmp_path):
    write("coco_stuff", tmp_path)
    obstacle = tmp_path / f"coco-stuff/annotations_detectron2{place}"
    obstacle.parent.mkdir(exist_ok=True)
    obstacle.write_bytes(b"a file in the place of a folder")
    done = command("coco_stuff")
    assert done.code == 1 and "Traceback" not in done.err
    assert done.err.splitlines()[-1].startswith("error: cannot make ")
    assert str(obstacle) in done.err


def _die(item):
    if item == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_worker_that_dies_is_an_error_and_no_endless_wait():
    with pytest.raises(OSError, match="fewer --workers"):
        list(parallel.each(_die, range(40), 2, "numbers"))


def test_a_second_run_waits_for_the_first(tmp_path):
    lines, order = [], []

    def second():
        with only_run([tmp_path], lines.append):
            order.append("second")

    thread = threading.Thread(target=second)
    with only_run([tmp_path], pytest.fail):
        thread.start()
        wait_until(lambda: lines)
        order.append("first")
    thread.join(timeout=PATIENCE)
    assert order == ["first", "second"]
    assert lines == [f"waiting for another run that prepares {tmp_path}"]
