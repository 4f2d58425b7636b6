"""The mapper: labels keep their values, pictures and labels stay aligned, bad files are named."""

import numpy as np
import pytest
import torch
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.data.labels import LabelSpec, read_label
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.data.seeding import seeded
from tests import datasets
from tests.conftest import config


def small_config(*opts):
    return config(
        "tests/data/small.yaml",
        *("INPUT.MIN_SIZE_TRAIN", (48,), "INPUT.CROP.SIZE", [64, 64], "INPUT.MIN_SIZE_TEST", 96),
        *opts,
    )


def wide_record(folder):
    """300 classes, of which 255 is one, in a 16-bit file."""
    label = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) % 300
    label[:4] = 65535
    return datasets.write_pair(folder, "wide", np.zeros((60, 80, 3), np.uint8), label)


@pytest.fixture
def blocks(tmp_path):
    records = datasets.write_blocks(tmp_path)
    with datasets.registered("blocks", records, ignore_label=255):
        yield records


@pytest.fixture
def wide(tmp_path):
    record = wide_record(tmp_path)
    classes = [f"class {index}" for index in range(300)]
    with datasets.registered("wide", [record], stuff_classes=classes):
        yield record


def test_sample_has_what_the_model_takes(blocks):
    sample = SemanticMapper(small_config(), "blocks")(blocks[0])
    assert sample["image"].shape == (3, 64, 64) and sample["image"].dtype == torch.uint8
    assert sample["sem_seg"].shape == (64, 64) and sample["sem_seg"].dtype == torch.int64
    assert (sample["height"], sample["width"]) == (48, 64)
    assert sample["vocabulary"] == Vocabulary.from_metadata("blocks")
    assert "image" not in blocks[0]


def test_every_sample_of_training_has_the_crop_size_padded_with_ignore(blocks):
    cfg = small_config("INPUT.CROP.SIZE", [56, 100])
    sample = SemanticMapper(cfg, "blocks")(blocks[1])
    assert sample["image"].shape == (3, 56, 100)
    assert (sample["sem_seg"][48:] == 255).all() and (sample["sem_seg"][:, 64:] == 255).all()


@pytest.mark.parametrize("size", [48, 73, 96])
def test_picture_and_label_stay_aligned(blocks, size):
    cfg = small_config("INPUT.MIN_SIZE_TRAIN", (size,), "INPUT.CROP.ENABLED", False)
    sample = SemanticMapper(cfg, "blocks")(blocks[2])
    image, label = sample["image"].permute(1, 2, 0).int(), sample["sem_seg"]
    known = label != 255
    colors = torch.from_numpy(datasets.COLORS).int()[label.where(known, torch.tensor(0))]
    wrong = ((image - colors).abs().amax(-1) > 90) & known
    # Bilinear resizing blends a pixel on each side of an edge; a shift would miss far more.
    assert wrong.float().mean() < (0.001 if size == 48 else 0.04)


def ramp(folder, wide):
    """A picture whose label at every pixel says what its brightness is."""
    columns = np.tile(np.arange(201), (97, 1))
    image = np.repeat(columns.astype(np.uint8)[..., None], 3, -1)
    label = columns.astype(np.uint16 if wide else np.uint8)
    return datasets.write_pair(folder, "ramp", image, label)


@pytest.mark.parametrize("size", [31, 48, 73, 150, 200])
@pytest.mark.parametrize("count", [201, 300])
def test_labels_are_taken_at_the_centre_of_every_pixel(tmp_path, size, count):
    """In 8 and in 16 bits: a grid half a pixel off would show in every column."""
    cfg = small_config(
        *("INPUT.MIN_SIZE_TRAIN", (size,), "INPUT.CROP.ENABLED", False),
        *("MODEL.SEM_SEG_HEAD.IGNORE_VALUE", 65535),
    )
    classes = [f"class {index}" for index in range(count)]
    with datasets.registered("ramp", [ramp(tmp_path, count > 255)], stuff_classes=classes):
        sample = SemanticMapper(cfg, "ramp")(ramp(tmp_path, count > 255))
    brightness, label = sample["image"][0].long(), sample["sem_seg"]
    assert label.shape[0] == size
    # Bilinear filtering blends at the two borders only.
    assert (brightness - label)[:, 4:-4].abs().max() <= 0.5 * 97 / size


def test_sixteen_bits_get_the_geometry_of_eight(tmp_path):
    """Crops, flips and padding too: the same seed gives the same label in both widths."""
    cfg = small_config(
        *("INPUT.MIN_SIZE_TRAIN", (40, 70, 120), "INPUT.CROP.SIZE", [80, 90]),
        *("INPUT.CROP.SINGLE_CATEGORY_MAX_AREA", 0.75, "INPUT.COLOR_AUG_SSD", True),
        *("MODEL.SEM_SEG_HEAD.IGNORE_VALUE", 65535),
    )
    samples = {}
    for count in (201, 300):
        classes = [f"class {index}" for index in range(count)]
        record = ramp(tmp_path, count > 255)
        with datasets.registered("ramp", [record], stuff_classes=classes):
            mapper = SemanticMapper(cfg, "ramp")
            for seed in range(12):
                with seeded(seed):
                    samples[count, seed] = mapper(record)
    padded = 0
    for seed in range(12):
        narrow, wide = samples[201, seed], samples[300, seed]
        assert narrow["sem_seg"].shape == (80, 90)
        assert torch.equal(narrow["sem_seg"], wide["sem_seg"])
        assert torch.equal(narrow["image"], wide["image"])
        padded += (narrow["sem_seg"] == 65535).any().item()
    assert 0 < padded < 12


@pytest.mark.parametrize("shape", [(1, 900), (700, 1), (3, 3)])
@pytest.mark.parametrize("is_train", [True, False])
def test_pictures_of_any_shape(tmp_path, shape, is_train):
    record = datasets.write_pair(
        tmp_path, "line", np.zeros((*shape, 3), np.uint8), np.ones(shape, np.uint8)
    )
    cfg = small_config("INPUT.MAX_SIZE_TRAIN", 128, "INPUT.MAX_SIZE_TEST", 128)
    with datasets.registered("line", [record]):
        sample = SemanticMapper(cfg, "line", is_train=is_train)(record)
    assert min(sample["image"].shape) >= 1
    if is_train:
        assert sample["image"].shape[1:] == sample["sem_seg"].shape == (64, 64)
        assert set(sample["sem_seg"].unique().tolist()) <= {1, 255}


def test_pictures_of_any_mode_and_labels_with_a_palette(tmp_path):
    label = Image.fromarray(np.full((48, 64), 2, np.uint8)).convert("P")
    label.putpalette([255, 0, 0, 0, 255, 0, 9, 9, 200])
    pictures = {
        "grey.png": Image.fromarray(np.full((48, 64), 77, np.uint8)),
        "alpha.png": Image.new("RGBA", (64, 48), (10, 20, 30, 255)),
        "palette.png": Image.new("RGB", (64, 48), (1, 2, 3)).convert("P"),
        "deep.png": Image.fromarray(np.full((48, 64), 77 * 257, np.uint16)),
        "bits.png": Image.new("1", (64, 48)),
        "cmyk.jpg": Image.new("CMYK", (64, 48)),
    }
    label.save(tmp_path / "label.png")
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        record = {"file_name": str(tmp_path / name)}
        record["sem_seg_file_name"] = str(tmp_path / "label.png")
        with datasets.registered("modes", [record]):
            sample = SemanticMapper(small_config("INPUT.CROP.ENABLED", False), "modes")(record)
        assert sample["image"].shape == (3, 48, 64) and (sample["sem_seg"] == 2).all(), name
        if name in ("grey.png", "deep.png"):
            assert (sample["image"] == 77).all()


def test_color_change_leaves_the_label_alone(blocks):
    plain = small_config("INPUT.RANDOM_FLIP", "none", "INPUT.CROP.SIZE", [48, 64])
    changed = small_config(
        *("INPUT.RANDOM_FLIP", "none", "INPUT.CROP.SIZE", [48, 64], "INPUT.COLOR_AUG_SSD", True)
    )
    first = SemanticMapper(plain, "blocks")(blocks[0])
    mapper = SemanticMapper(changed, "blocks")
    # Each of its changes is made in every second picture only, so that some stay as they are.
    with seeded(0):
        others = [mapper(blocks[0]) for _ in range(8)]
    assert all(torch.equal(first["sem_seg"], other["sem_seg"]) for other in others)
    assert sum(torch.equal(first["image"], other["image"]) for other in others) < 4


@pytest.mark.parametrize("flip", ["none", "horizontal", "vertical"])
def test_flips(blocks, flip):
    cfg = small_config("INPUT.RANDOM_FLIP", flip, "INPUT.CROP.SIZE", [48, 64])
    mapper = SemanticMapper(cfg, "blocks")
    seen = {tuple(mapper(blocks[0])["sem_seg"].flatten().tolist()) for _ in range(20)}
    assert len(seen) == (1 if flip == "none" else 2)


def test_crop_avoids_one_class_over_all(tmp_path):
    label = np.zeros((64, 128), np.uint8)
    label[:, 96:] = 1
    record = datasets.write_pair(tmp_path, "half", np.zeros((64, 128, 3), np.uint8), label)
    cfg = small_config(*("INPUT.MIN_SIZE_TRAIN", (64,), "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA", 0.9))
    with datasets.registered("half", [record]):
        mapper = SemanticMapper(cfg, "half")
        shares = [(mapper(record)["sem_seg"] == 0).float().mean() for _ in range(20)]
    assert sum(share < 0.9 for share in shares) >= 19


def test_a_crop_is_drawn_ten_times_at_most(tmp_path, monkeypatch):
    """Nothing but one class: the tenth crop is taken as it is."""
    record = datasets.write_pair(
        tmp_path, "one", np.zeros((64, 128, 3), np.uint8), np.zeros((64, 128), np.uint8)
    )
    cfg = small_config(
        *("INPUT.MIN_SIZE_TRAIN", (64,), "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA", 0.5),
        *("INPUT.RANDOM_FLIP", "none", "INPUT.CROP.SIZE", [32, 32]),
    )
    drawn = []
    randint = np.random.randint
    monkeypatch.setattr(
        np.random, "randint", lambda *args, **kw: drawn.append(args) or randint(*args, **kw)
    )
    with datasets.registered("one", [record]):
        sample = SemanticMapper(cfg, "one")(record)
    assert (sample["sem_seg"] == 0).all()
    assert len(drawn) == 2 * 10  # a row and a column each


def test_ignored_pixels_may_fill_a_crop(tmp_path):
    """They are no class: the limit is a share of the labelled pixels."""
    label = np.full((64, 64), 255, np.uint8)
    label[:8, ::2], label[:8, 1::2] = 0, 1
    record = datasets.write_pair(tmp_path, "most", np.zeros((64, 64, 3), np.uint8), label)
    cfg = small_config(
        *("INPUT.MIN_SIZE_TRAIN", (64,), "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA", 0.75),
        *("INPUT.CROP.SIZE", [32, 32]),
    )
    with datasets.registered("most", [record]):
        mapper = SemanticMapper(cfg, "most")
        tops = [(mapper(record)["sem_seg"] != 255).any().item() for _ in range(20)]
    # One crop in four shows the labelled rows; ten tries find one nearly always.
    assert sum(tops) >= 15


def test_the_published_training_input():
    """The values of the authors' configuration, in base.yaml for both sizes of CLIP."""
    for name in ("vitb16_384", "vitl14_336"):
        cfg = config(f"configs/fgaseg/{name}.yaml")
        assert cfg.DATASETS.TRAIN == ("coco_stuff_train",)
        assert cfg.INPUT.MIN_SIZE_TRAIN == (384,) and cfg.INPUT.FORMAT == "RGB"
        assert cfg.INPUT.CROP.ENABLED and list(cfg.INPUT.CROP.SIZE) == [384, 384]
        assert cfg.INPUT.CROP.TYPE == "absolute" and cfg.INPUT.COLOR_AUG_SSD
        assert cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA == 1.0
        assert (cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST) == (640, 2560)
        clip = cfg.SOLVER.CLIP_GRADIENTS
        assert clip.ENABLED and (clip.CLIP_TYPE, clip.CLIP_VALUE) == ("full_model", 0.01)


def test_format_bgr(blocks):
    cfg = small_config("INPUT.RANDOM_FLIP", "none")
    rgb = SemanticMapper(cfg, "blocks")(blocks[0])["image"]
    cfg.INPUT.FORMAT = "BGR"
    assert torch.equal(SemanticMapper(cfg, "blocks")(blocks[0])["image"], rgb.flip(0))


def test_testing_resizes_the_picture_only(blocks):
    sample = SemanticMapper(small_config(), "blocks", is_train=False)(blocks[0])
    assert sample["image"].shape == (3, 96, 128)
    assert (sample["height"], sample["width"]) == (48, 64)
    assert "sem_seg" not in sample


def test_more_than_255_classes_keep_class_255(wide):
    cfg = small_config("MODEL.SEM_SEG_HEAD.IGNORE_VALUE", 65535, "INPUT.CROP.ENABLED", False)
    cfg.INPUT.MIN_SIZE_TRAIN = (60,)
    label = SemanticMapper(cfg, "wide")(wide)["sem_seg"]
    assert (label[:4] == 65535).all()
    assert set(label[4:].flatten().tolist()) == set(range(300))


def test_ignore_value_must_not_be_a_class(wide):
    with pytest.raises(ValueError, match="IGNORE_VALUE outside the 300 classes .* set it to 65535"):
        SemanticMapper(small_config(), "wide")


def test_ignore_label_of_the_dataset_becomes_the_models(tmp_path):
    label = np.array([[0, 9], [1, 3]], np.uint8).repeat(24, 0).repeat(32, 1)
    record = datasets.write_pair(tmp_path, "nine", np.zeros((48, 64, 3), np.uint8), label)
    with datasets.registered("nine", [record], ignore_label=9):
        sample = SemanticMapper(small_config("INPUT.CROP.ENABLED", False), "nine")(record)
    assert set(sample["sem_seg"].unique().tolist()) == {0, 1, 3, 255}


@pytest.mark.parametrize(
    ("mode", "ending"),
    [*((mode, ending) for mode in ("L", "P", "I;16", "1") for ending in (".png", ".tif"))]
    + [("I", ".tif")],
)
def test_label_files_keep_their_values(tmp_path, mode, ending):
    wide = mode in ("I;16", "I")
    values = np.array([[0, 1], [300, 65535]] if wide else [[0, 1], [1, 0]])
    types = {"I;16": np.uint16, "I": np.int32, "1": bool}
    image = Image.fromarray(values.astype(types.get(mode, np.uint8)))
    if mode == "P":
        image = image.convert("P")
        image.putpalette([7, 7, 7, 200, 100, 0])
    path = tmp_path / f"label{ending}"
    image.save(path)
    assert read_label(str(path)).tolist() == values.tolist()


def test_ignore_label_among_the_classes_is_refused(blocks):
    with (
        datasets.registered("zero", blocks, ignore_label=0),
        pytest.raises(ValueError, match="ignore_label 0, but that is one of its 4 classes"),
    ):
        LabelSpec.from_metadata("zero")


def test_missing_classes_are_said(blocks):
    with (
        datasets.registered("none", blocks, stuff_classes=[]),
        pytest.raises(ValueError, match=r"'none' has no stuff_classes; .*set\(stuff_classes"),
    ):
        LabelSpec.from_metadata("none")


def break_value(record):
    label = read_label(record["sem_seg_file_name"]).astype(np.uint8)
    label[20, 20] = 17
    Image.fromarray(label).save(record["sem_seg_file_name"])


def break_picture(record):
    with open(record["file_name"], "r+b") as stream:
        stream.truncate(60)


def break_label(record):
    with open(record["sem_seg_file_name"], "wb") as stream:
        stream.write(b"no picture")


def color_label(record):
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(record["sem_seg_file_name"])


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda record: record.update(file_name="/no/such.jpg"), FileNotFoundError, "/no/such.jpg"),
        (
            lambda record: record.update(sem_seg_file_name="/no/label.png"),
            FileNotFoundError,
            "label file /no/label.png does not exist",
        ),
        (lambda record: record.update(height=50), ValueError, "its dataset record says 50 x 64"),
        (break_value, ValueError, r"label.png: expected label values 0 .. 3 .* got 17"),
        (break_picture, ValueError, r"0.png"),
        (break_label, ValueError, r"expected a label file that .*0.label.png"),
        (color_label, ValueError, r"0.label.png: expected a label file of one integer channel"),
    ],
)
def test_bad_files_are_named_in_one_line(blocks, spoil, error, message):
    record = dict(blocks[0])
    spoil(record)
    with pytest.raises(error, match=message) as caught:
        SemanticMapper(small_config(), "blocks")(record)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("is_train", [True, False])
def test_sizes_must_match(blocks, is_train):
    record = dict(blocks[0])
    Image.fromarray(np.zeros((30, 64), np.uint8)).save(record["sem_seg_file_name"])
    mapper = SemanticMapper(small_config(), "blocks", is_train=is_train)
    with pytest.raises(ValueError, match=r"0.png has 48 x 64 pixels .*0.label.png says 30 x 64"):
        mapper(record)
