"""What cannot be read is never called damaged or missing, and is never removed."""

import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import train_net
from fgaseg_d2.checkpoint.files import read_checkpoint, write_checkpoint
from fgaseg_d2.data.labels import read_label
from fgaseg_d2.data.preparation.prepared_files import is_whole
from fgaseg_d2.data.preparation.raw_files import read_png, tagged_picture_size
from fgaseg_d2.evaluation.predictions import read_index
from fgaseg_d2.io.files import read_image
from fgaseg_d2.modeling.text.cache import TextCache
from fgaseg_d2.modeling.towers.loading import load_clip
from fgaseg_d2.storybook import write_dataset
from fgaseg_d2.storybook.dataset import Settings
from fgaseg_d2.vocabulary.sources import read_class_file
from tests.conftest import ROOT, tool
from tests.demo_tools import RANDOM, in_process
from tests.permissions import as_nobody, closed, open_folder


@pytest.fixture
def folder():
    with open_folder() as found:
        (found / "inside").mkdir(mode=0o755)
        yield found / "inside"


def picture(path):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(path, "PNG")


def weights(path):
    write_checkpoint(path, {"w": torch.zeros(3)})


def settings(path):
    path.write_text(Settings.complete("val", 1).to_json())


def index(path):
    path.write_text(json.dumps({"dataset": "a"}))


READERS = [
    (read_image, "a.png", picture),
    (lambda path: read_label(str(path)), "a.png", picture),
    (lambda path: read_png(path, ("L",), "a label"), "a.png", picture),
    (tagged_picture_size, "a.png", picture),
    (lambda path: is_whole(path, 8), "a.png", picture),
    (lambda path: read_checkpoint(str(path)), "a.pth", weights),
    (lambda path: read_checkpoint(str(path)), "a.safetensors", weights),
    (lambda path: load_clip("Storybook-ViT-8", str(path)), "a.pt", picture),
    (read_class_file, "a.txt", lambda path: path.write_text("cat\n")),
    (lambda path: Settings.read(path.parent), "dataset.json", settings),
    (lambda path: read_index(path.parent), "predictions.json", index),
]


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize(("read", "name", "make"), READERS)
def test_no_permission_is_said(folder, read, name, make, what):
    path = folder / name
    make(path)
    with closed(path if what == "file" else folder), pytest.raises(OSError) as caught:
        read(path)
    message = str(caught.value)
    assert "Permission denied" in message and str(path) in message
    assert not any(word in message for word in ("damaged", "whole", "anew", "got nothing"))
    assert path.exists()


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("program", ["demo", "view", "convert", "train"])
def test_programs_say_it_in_one_line(folder, monkeypatch, capfd, program, what):
    demo = in_process(monkeypatch, capfd)
    monkeypatch.chdir(ROOT)
    names = {"demo": "a.png", "view": "predictions.json", "convert": "a.pth", "train": "a.yaml"}
    path = folder / names[program]
    path.write_bytes(b"{}")
    out = folder.parent / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    with closed(path if what == "file" else folder):
        if program == "demo":
            code = demo("--input", path, "--vocab", "cat", "--output", out, *RANDOM)
            code, err = code[0], code[2]
        elif program == "view":
            code, err = tool("view_predictions").main([str(folder)]), capfd.readouterr().err
        elif program == "convert":
            words = [str(path), str(out / "b.pth")]
            code, err = tool("convert_checkpoint").main(words), capfd.readouterr().err
        else:
            monkeypatch.setattr(sys, "argv", ["train_net.py", "--config-file", str(path)])
            code, err = train_net.main(), capfd.readouterr().err
    assert code in (1, 2) and "Traceback" not in err and "[Errno" not in err, err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "Permission denied" in line and "; " in line and str(folder) in line
    assert not any(word in line for word in ("damaged", "whole", "anew", "got nothing"))


@pytest.mark.parametrize("read", [read_image, lambda path: read_checkpoint(str(path))])
def test_what_the_system_refuses_even_to_root(read):
    """A file of the kernel that nobody can read at its begin."""
    with pytest.raises(
        OSError, match="Input/output error|Invalid argument|not permitted"
    ) as caught:
        read("/proc/self/mem")
    assert "damaged" not in str(caught.value) and "anew" not in str(caught.value)


def warnings_of(caplog) -> str:
    return " ".join(record.getMessage() for record in caplog.records)


def test_kept_embeddings_of_another_user_are_used_and_stay(folder, caplog):
    cache = TextCache(2**20, folder)
    cache.put("ab", torch.arange(3.0))
    (path,) = folder.iterdir()
    before = path.stat()
    with as_nobody():
        assert cache.get("ab").tolist() == [0, 1, 2]
    assert not caplog.records
    assert path.stat().st_ino == before.st_ino


@pytest.mark.parametrize("what", ["file", "folder"])
def test_kept_embeddings_that_cannot_be_read_stay(folder, caplog, what):
    cache = TextCache(2**20, folder)
    cache.put("ab", torch.arange(3.0))
    (path,) = folder.iterdir()
    with closed(path if what == "file" else folder):
        assert cache.get("ab") is None
    assert "Permission denied" in warnings_of(caplog) and str(path) in warnings_of(caplog)
    assert "damaged" not in warnings_of(caplog)
    assert cache.get("ab").tolist() == [0, 1, 2]


def test_a_folder_in_the_place_of_kept_embeddings_is_said(tmp_path, caplog):
    (tmp_path / "ab.safetensors").mkdir()
    cache = TextCache(2**20, tmp_path)
    assert cache.get("ab") is None
    cache.put("ab", torch.zeros(3))
    assert "Is a directory" in warnings_of(caplog) and "it is a folder" in warnings_of(caplog)
    assert (tmp_path / "ab.safetensors").is_dir()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs a second user")
@pytest.mark.parametrize("content", [None, b"damaged"])
def test_embeddings_of_another_user_are_neither_replaced_nor_dropped(folder, caplog, content):
    folder.chmod(0o777)
    cache = TextCache(2000, folder)
    for key in ("ab", "cd"):
        cache.put(key, torch.ones(200))
    for path in folder.iterdir():
        os.chown(path, 12345, 12345)
        if content:
            path.write_bytes(content)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for key in ("ab", "cd"):
        cache.get(key)
        cache.put(key, torch.zeros(200))
    cache.put("ef", torch.zeros(400))
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.items() <= after.items() and len(after) == 3


def test_a_finished_data_set_is_used_where_nothing_can_be_written(folder):
    root = folder / "root"
    drawn = write_dataset(root, "val", 2, height=32, width=48, workers=1)
    for path in (root, drawn.parent, drawn, drawn / "images"):
        path.chmod(0o555)
    try:
        with as_nobody():
            assert write_dataset(root, "val", 2, height=32, width=48, workers=1) == drawn
    finally:
        for path in (root, drawn.parent, drawn, drawn / "images"):
            path.chmod(0o755)
