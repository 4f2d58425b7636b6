"""Orientation tags: one rule for pictures and labels, in every format, by path and as an object."""

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.labels import label_size, read_label
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.evaluation.truth import GroundTruth
from fgaseg_d2.io.files import read_image
from tests import datasets
from tests.conftest import config, tool

ORIENTATION = 0x0112
# What a camera that was held so has stored of an upright picture (Exif 2.32).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
SQUARE, WIDE = (16, 16), (16, 24)


def save(path, upright, tag=1, **options):
    """Write a file that is upright once its tag is applied; tag 0 writes none."""
    exif = Image.Exif()
    if tag:
        exif[ORIENTATION] = tag
    stored = np.ascontiguousarray(STORED[tag or 1](upright))
    Image.fromarray(stored).save(path, exif=exif, **options)


def pair(size=WIDE, seed=0):
    """A picture and a label that no turn leaves as it is."""
    label = np.random.default_rng(seed).integers(0, 4, size).astype(np.uint8)
    return datasets.COLORS[label], label


def write(folder, picture_tag=0, label_tag=0, size=WIDE, picture="p.png", label="p.label.png"):
    upright, truth = pair(size)
    save(folder / picture, upright, picture_tag)
    save(folder / label, truth, label_tag)
    names = {"file_name": str(folder / picture), "sem_seg_file_name": str(folder / label)}
    return names, upright, truth


@pytest.mark.parametrize("tag", [0, *STORED, 9])
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_pictures_by_path_and_as_an_object(tmp_path, ending, tag):
    upright, _ = pair()
    path = tmp_path / f"p.{ending}"
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    stored = np.ascontiguousarray(STORED.get(tag, STORED[1])(upright))
    Image.fromarray(stored).save(
        path, exif=exif, **({"lossless": True} if ending == "webp" else {})
    )
    assert (read_image(path) == upright).all()
    with Image.open(path) as image:
        assert (read_image(image) == upright).all()
    with Image.open(path) as image:
        image.load()
        assert (read_image(image) == upright).all()
        assert (read_image(image.convert("RGBA")) == upright).all()


def test_a_jpeg_as_an_object_is_what_it_is_by_path(tmp_path):
    upright, _ = pair((48, 64))
    save(tmp_path / "p.jpg", upright.repeat(8, 0).repeat(8, 1), 6, quality=95)
    with Image.open(tmp_path / "p.jpg") as image:
        as_object = read_image(image)
    assert as_object.shape == (8 * 48, 8 * 64, 3)
    assert (as_object == read_image(tmp_path / "p.jpg")).all()


@pytest.mark.parametrize("tag", [0, *STORED])
@pytest.mark.parametrize(
    ("ending", "dtype", "options"),
    [
        ("png", np.uint8, {}),
        ("png", np.uint16, {}),
        ("tif", np.uint8, {}),
        ("tif", np.uint16, {"compression": "tiff_lzw"}),
    ],
)
def test_labels_keep_their_values_and_are_turned(tmp_path, ending, dtype, options, tag):
    truth = np.arange(6 * 4, dtype=dtype).reshape(6, 4) * (700 if dtype == np.uint16 else 1)
    path = tmp_path / f"label.{ending}"
    save(path, truth, tag, **options)
    assert (read_label(path) == truth).all()
    assert label_size(path) == (6, 4)


def test_a_palette_label_is_turned(tmp_path):
    truth = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = Image.fromarray(np.ascontiguousarray(STORED[6](truth)), mode="P")
    image.putpalette([value for color in range(256) for value in (255 - color, 3, 7)])
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image.save(tmp_path / "label.png", exif=exif)
    assert (read_label(tmp_path / "label.png") == truth).all()


def test_a_damaged_note_about_the_camera_is_no_orientation(tmp_path):
    upright, _ = pair()
    Image.fromarray(upright).save(tmp_path / "p.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05garbage")
    assert (read_image(tmp_path / "p.png") == upright).all()


def map_record(record, is_train):
    # Big enough a crop, no other augmentation: the sample is the upright picture.
    cfg = config(
        "tests/data/small.yaml",
        *("INPUT.MIN_SIZE_TRAIN", (16,), "INPUT.MIN_SIZE_TEST", 16, "INPUT.RANDOM_FLIP", "none"),
        *("INPUT.CROP.ENABLED", False, "INPUT.COLOR_AUG_SSD", False),
    )
    with datasets.registered("tagged", [record]) as name:
        return SemanticMapper(cfg, name, is_train)(record)


@pytest.mark.parametrize("size", [SQUARE, WIDE])
@pytest.mark.parametrize("tag", [2, 3, 6, 7])
def test_training_and_evaluation_see_both_upright(tmp_path, tag, size):
    record, upright, truth = write(tmp_path, tag, tag, size)
    for is_train in (True, False):
        sample = map_record(record, is_train)
        image = sample["image"].numpy().transpose(1, 2, 0)
        # Within what JPEG-free resizing to the same size leaves: nothing.
        assert (image == upright).all() and (sample["height"], sample["width"]) == size
    assert (map_record(record, True)["sem_seg"].numpy() == truth).all()
    with datasets.registered("tagged", [record]) as name:
        assert (GroundTruth.from_metadata(name).read(record["file_name"]) == truth).all()


def test_a_label_drawn_on_the_picture_as_people_see_it_needs_no_tag(tmp_path):
    """The sizes show it where the tag swaps the sides; so it is with most photographs."""
    record, _, truth = write(tmp_path, picture_tag=6, label_tag=0)
    assert (map_record(record, True)["sem_seg"].numpy() == truth).all()
    assert map_record(record, False)["image"].shape == (3, *WIDE)


def raw_label(folder):
    """A label that was drawn on what the camera stored."""
    record, upright, truth = write(folder, 6, 0)
    save(folder / "p.label.png", np.ascontiguousarray(STORED[6](truth)), 0)
    return record


def upside_down(folder):
    return write(folder, 3, 0)[0]


def mirrored_label(folder):
    return write(folder, 0, 2)[0]


def square(folder):
    return write(folder, 8, 0, SQUARE)[0]


def raw_record(folder):
    """A record that states the height and width of what the camera stored."""
    return write(folder, 6, 6)[0] | {"height": WIDE[1], "width": WIDE[0]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (raw_label, r"p.png has 16 x 24 .* after its orientation tag 6 .* 24 x 16; .* upright"),
        (upside_down, r"p.png has the orientation tag 3, .*label.png has none, .* both upright"),
        (mirrored_label, r"label.png has the orientation tag 2, .*p.png has none"),
        (square, r"p.png has the orientation tag 8, .*label.png has none"),
        (raw_record, r"p.png has 16 x 24 .* tag 6 .* dataset record says 24 x 16; .* upright size"),
    ],
)
@pytest.mark.parametrize("is_train", [True, False])
def test_what_a_tag_makes_unequal_or_unknown_is_said(tmp_path, make, message, is_train):
    record = make(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        map_record(record, is_train)
    assert "\n" not in str(caught.value) and len(str(caught.value).replace(str(tmp_path), "")) < 400


def test_check_dataset_counts_tags_and_names_the_pairs_they_part(tmp_path):
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
    records = [
        write(folders[0], 3, 3)[0],
        write(folders[1], 6, 0)[0],
        raw_label(folders[2]),
        upside_down(folders[3]),
    ]
    with datasets.registered("tags", records):
        report = check_dataset("tags")
    assert (report.tagged_pictures, report.tagged_labels) == (4, 1)
    assert "orientation tags, which are applied: 4 pictures, 1 label files" in report.text()
    assert len(report.problems) == 2 and all("orientation tag" in text for text in report.problems)


def test_saved_predictions_of_a_program_that_knows_no_tags(tmp_path, capsys):
    """The error of the size says where the tag is; a tag of the prediction itself is applied."""
    truth, maps = tmp_path / "truth", tmp_path / "maps"
    for folder in (truth, maps):
        folder.mkdir()
    _, label = pair()
    save(truth / "p.png", label, 6)
    save(maps / "p.png", np.ascontiguousarray(STORED[6](label)), 0)
    options = ["--truth", str(truth), "--classes", "a,b,c,d"]
    assert tool("evaluate_predictions").main([str(maps), *options]) == 1
    error = capsys.readouterr().err
    assert "16 x 24 pixels as in the truth after its orientation tag 6" in error
    assert "got 24 x 16" in error
    save(maps / "p.png", label, 8)
    assert tool("evaluate_predictions").main([str(maps), *options]) == 0
    assert "100.00" in capsys.readouterr().out
