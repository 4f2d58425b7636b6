"""A picture in every form in which people have one is the same, or one line says what to do."""

import io
import json
import os
import sys
import tempfile
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from fgaseg_d2.io import heif
from fgaseg_d2.io.files import read_image
from fgaseg_d2.predict.pictures import picture_array, several, source_of
from tests.demo_tools import RANDOM, in_process
from tests.servers import server_of

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 44, 3), np.uint8)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def encoded(**options):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG", **options)
    return stream.getvalue()


@pytest.fixture
def web(tmp_path):
    """A server, its address, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    with server_of(folder) as server:
        yield server, f"http://127.0.0.1:{server.server_port}", folder


def test_content_of_a_file_and_tensors(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    tensor = torch.from_numpy(PIXELS)
    for form in (
        *(encoded(), bytearray(encoded()), memoryview(encoded()), io.BytesIO(encoded())),
        *(tensor, tensor.permute(2, 0, 1), tensor.permute(2, 0, 1).clone().requires_grad_(False)),
        *(str(path), path, Image.open(path)),
    ):
        assert (picture_array(form) == PIXELS).all(), form
    with path.open("rb") as file:
        assert (picture_array(file) == PIXELS).all()
    with tempfile.NamedTemporaryFile() as file:
        file.write(encoded())
        file.seek(0)
        assert (picture_array(file) == PIXELS).all()
        with pytest.raises(ValueError, match="expected pictures in a list, got a single one"):
            several(file)
    reader, writer = os.pipe()
    os.write(writer, encoded())
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert (picture_array(pipe) == PIXELS).all()
    grey = tensor[None, :, :, 0]
    assert (picture_array(grey) == PIXELS[:, :, :1]).all()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (b"no picture", "expected a picture that Pillow reads, got '10 bytes'"),
        (encoded()[:200], "expected a whole picture in '200 bytes', got an error"),
        (torch.zeros(3, 4, 5), r"scale it by \(255 \* array\)"),
        (torch.zeros(2, 3, 4, 5, dtype=torch.uint8), "give the pictures of a batch one by one"),
        (["a.png"], "got list; convert it to one of these"),
        (None, "got NoneType"),
        (io.StringIO("no picture"), "got 'an open file' open for text; open it with 'rb'"),
    ],
)
def test_what_is_no_picture_is_one_line(form, message):
    with pytest.raises(ValueError, match=message) as caught:
        picture_array(form)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turn_that_a_camera_noted(turn, tmp_path):
    """In the bytes of a file, in a picture that Pillow opened, and in one that has been loaded."""
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encoded(exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    loaded = Image.open(io.BytesIO(data))
    loaded.load()
    for form in (data, Image.open(io.BytesIO(data)), loaded):
        found = picture_array(form)
        assert found.shape == expected.shape and (found == expected).all()


def test_batches_and_names():
    batch = torch.from_numpy(np.stack([PIXELS, PIXELS])).permute(0, 3, 1, 2)
    assert all((picture_array(one) == PIXELS).all() for one in several(batch))
    for single in (encoded(), PIXELS, torch.from_numpy(PIXELS), io.BytesIO(), "a.png"):
        with pytest.raises(ValueError, match="got a single one; put it in a list"):
            several(single)
    assert source_of(encoded()) == source_of(PIXELS) == source_of(torch.zeros(1)) == ""
    assert source_of("https://example.org/a.png") == "https://example.org/a.png"


def test_an_address_is_fetched_and_not_kept(web, tmp_path, monkeypatch):
    server, address, folder = web
    (folder / "a picture.png").write_bytes(encoded())
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    url = f"{address}/{quote('a picture.png')}?size=3"
    for form in (url, url.replace("http", "HTTP", 1)):
        assert (picture_array(form) == PIXELS).all()
    assert len(server.ranges) == 2 and not list((tmp_path / "tmp").iterdir())
    with pytest.raises(OSError, match=r"expected a picture at .*none\.png, but .*404"):
        picture_array(f"{address}/none.png")
    with pytest.raises(ValueError, match="fetch it first: curl -O"):
        read_image(url)


def test_an_address_on_the_command_line(web, tmp_path, monkeypatch, capfd):
    _, address, folder = web
    (folder / "my photo.png").write_bytes(encoded())
    (folder / "bad.png").write_bytes(b"no picture")
    run = in_process(monkeypatch, capfd)
    where, words = ("--output", tmp_path / "out"), ("--vocab", "cat,dog", *RANDOM)
    urls = [f"{address}/my%20photo.png", f"{address}/bad.png"]
    code, text, errors = run(*urls, *where, *words)
    assert code == 1 and f"{urls[0]} -> " in text
    (error,) = (line for line in errors.splitlines() if line.startswith("error: "))
    assert urls[1] in error and "/tmp" not in error
    found = json.loads((tmp_path / "out" / "my_photo.json").read_text())
    assert found["image"] == urls[0] and found["width"] == 44
    code, _, errors = run(f"{address}/none.png", *where, *words)
    assert code == 2 and "expected a picture or video at" in errors and errors.count("\n") == 1


def test_a_picture_of_a_telephone_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heif._register.cache_clear()
    (tmp_path / "a.heic").write_bytes(HEIC)
    for form in (tmp_path / "a.heic", HEIC):
        with pytest.raises(ValueError, match=r"pip install 'fgaseg_d2\[heif\]'") as caught:
            picture_array(form)
        assert "got HEIC" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_picture_of_a_telephone(tmp_path):
    library = pytest.importorskip("pillow_heif")
    heif._register.cache_clear()
    smooth = np.linspace(0, 255, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint8)
    library.from_pillow(Image.fromarray(smooth)).save(tmp_path / "a.heic", quality=95)
    found = picture_array(tmp_path / "a.heic")
    assert found.shape == smooth.shape and np.abs(found.astype(int) - smooth).mean() < 4
