"""Downloaded pictures with an orientation tag: what readers would refuse is found here."""

import numpy as np
import pytest
from PIL import Image

from tests.data.preparation.command import assert_prepared, split_of
from tests.raw_trees import write


def tag(path, orientation):
    """Note how the camera was held; the pixels stay."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(path) as image:
        image.save(path, exif=exif, quality="keep")


@pytest.mark.parametrize(
    ("orientation", "message"), [(3, "has the orientation tag 3"), (6, "its orientation tag 6")]
)
def test_a_picture_that_its_label_would_not_fit_is_named(command, tmp_path, orientation, message):
    truth = write("pascal_voc", tmp_path)
    stem = sorted(truth["pascal_voc_20_val"])[1]
    picture = tmp_path / split_of("pascal_voc_20_val").image_dir / f"{stem}.jpg"
    plain = picture.read_bytes()
    tag(picture, orientation)
    done = command("pascal_voc")
    assert done.code == 1
    (error,) = done.errors()
    assert message in error and f"{stem}.jpg" in error and "upright" in error
    assert_prepared(tmp_path, truth, without=stem)
    picture.write_bytes(plain)
    assert command("pascal_voc").code == 0
    tag(picture, orientation)
    checked = command("pascal_voc", "--check")
    assert checked.code == 1 and all(message in error for error in checked.errors())


def test_where_pictures_are_written_anew_both_stay_as_stored(command, tmp_path):
    """The labels of ADE20K were drawn on what the camera stored."""
    truth = write("ade20k_847", tmp_path)
    for picture in (tmp_path / "ADE20K_2021_17_01" / "images").rglob("*.jpg"):
        tag(picture, 6)
    assert command("ade20k_847").code == 0
    assert_prepared(tmp_path, truth)
    for stem, label in truth["ade20k_847_val"].items():
        picture = tmp_path / split_of("ade20k_847_val").image_dir / f"{stem}.jpg"
        with Image.open(picture) as image:
            assert image.getexif().get(0x0112) is None
            assert np.asarray(image).shape[:2] == label.shape
