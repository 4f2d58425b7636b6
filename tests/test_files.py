"""Pictures of every kind become RGB, and results are written whole or not at all."""

import json
import os
import stat

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.io.files import atomic_path, read_image, write_image, write_json


def ramp(height=4, width=6):
    """A picture in which every pixel has a value of its own."""
    values = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    return values * 3


def test_path_pil_and_array_agree(tmp_path):
    Image.fromarray(ramp()).save(tmp_path / "a.png")
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(ramp()), ramp()):
        read = read_image(image)
        assert read.dtype == np.uint8
        assert (read == ramp()).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16", "I", "YCbCr", "HSV"])
def test_every_mode_of_a_white_picture_is_white(tmp_path, mode):
    white = Image.new("RGB", (5, 4), "white")
    if mode.startswith("I"):
        white = Image.fromarray(np.full((4, 5), 65535, np.uint16 if mode == "I;16" else np.int32))
    else:
        white = white.convert(mode)
    assert white.mode == mode
    assert (read_image(white) == 255).all()
    assert read_image(white).shape == (4, 5, 3)


def test_grey_and_sixteen_bits_keep_their_order():
    grey = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    assert (read_image(grey) == grey[..., None]).all()
    assert (read_image(grey[..., None]) == grey[..., None]).all()
    assert (read_image(grey.astype(np.uint16) * 257) == grey[..., None]).all()


def test_sixteen_bit_file_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 24).reshape(4, 6).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    read = read_image(tmp_path / "deep.png")[..., 0].astype(int)
    assert np.abs(read - values / 257).max() <= 0.5


def test_transparent_pixels_lie_on_white():
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, :, 3] = 255
    read = read_image(image)
    assert (read[0] == 0).all()
    assert (read[1] == 255).all()
    assert (read_image(Image.fromarray(image)) == read).all()


def test_orientation_of_a_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned to the right
    Image.fromarray(ramp()).save(tmp_path / "turned.png", exif=exif)
    assert (read_image(tmp_path / "turned.png") == np.rot90(ramp(), -1)).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 3), bool),
        np.zeros((3, 4, 4), np.uint8)[:, :, :2],
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        Image.fromarray(np.zeros((4, 4), np.float32)),
        None,
        ["a.png"],
    ],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match=r"^expected .*, got .*; "):
        read_image(image)


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="got nothing"):
        read_image(tmp_path / "none.png")
    with pytest.raises(FileNotFoundError, match="got a folder"):
        read_image(tmp_path)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="that Pillow reads"):
        read_image(tmp_path / "text.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        tmp_path / "whole.png"
    )
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="whole picture"):
        read_image(tmp_path / "half.png")


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "new" / "a.json"
    write_json(file, {"a": "é"})
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": "é"}
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    with pytest.raises(KeyboardInterrupt), atomic_path(file) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert json.loads(file.read_text(encoding="utf-8")) == {"a": "é"}
    assert os.listdir(file.parent) == ["a.json"]


def test_odd_file_names_survive_json(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "a.json", {"image": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"image": name}


def test_written_files_have_usual_permissions(tmp_path):
    write_image(tmp_path / "a.png", ramp())
    (tmp_path / "b").touch()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.png", "b")}
    assert len(modes) == 1
    assert (read_image(tmp_path / "a.png") == ramp()).all()


def test_wide_labels_survive(tmp_path):
    labels = np.arange(600, dtype=np.uint16).reshape(20, 30)
    write_image(tmp_path / "labels.png", labels)
    assert (np.asarray(Image.open(tmp_path / "labels.png")) == labels).all()
