"""Pictures with captions: the table, the samples, the stream, and training on them."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import train_net
from fgaseg_d2.data import loaders, register_captions
from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.labels import LabelSpec
from fgaseg_d2.data.mappers import CaptionMapper, SemanticMapper
from fgaseg_d2.data.records import dataset_records
from fgaseg_d2.data.seeding import seeded
from tests import datasets
from tests.conftest import ROOT, config, tool

pytestmark = pytest.mark.usefixtures("datasets_stay_in_their_test")

NAME = "own_captions"
SMALL = (
    *("INPUT.MIN_SIZE_TRAIN", (48, 60), "INPUT.CROP.SIZE", [32, 32], "DATALOADER.NUM_WORKERS", 0),
    *("SOLVER.IMS_PER_BATCH", 2, "DATASETS.TEST", ()),
)


@pytest.fixture
def folder(tmp_path):
    """Four pictures and a table of five captions; one has a comma, one a quotation mark."""
    datasets.write_blocks(tmp_path / "pictures", count=4)
    (tmp_path / "captions.csv").write_text(
        "image,caption\n"
        "0.png,blocks in many colors\n"
        '1.png,"red, green and blue"\n'
        '2.png,"a ""grey"" block"\n'
        "3.png,ein Würfel\n"
        "1.png,a heap of blocks\n",
        encoding="utf-8",
    )
    return tmp_path


def cfg_for(*opts):
    return config(
        "tests/data/small.yaml",
        *("MODEL.META_ARCHITECTURE", "CLIPPretraining", *SMALL, *opts),
    )


def load(folder, **changes):
    register_captions(NAME, folder / "captions.csv", folder / "pictures", **changes)
    return dataset_records(NAME)


def test_rows_of_one_picture_are_one_sample(folder):
    pictures = folder / "pictures"
    assert load(folder) == [
        {"file_name": str(pictures / "0.png"), "captions": ["blocks in many colors"]},
        {
            "file_name": str(pictures / "1.png"),
            "captions": ["red, green and blue", "a heap of blocks"],
        },
        {"file_name": str(pictures / "2.png"), "captions": ['a "grey" block']},
        {"file_name": str(pictures / "3.png"), "captions": ["ein Würfel"]},
    ]


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("marked.csv", "\ufeffIMAGE, Caption ,id\n0.png,a block,7\n", ("image", "caption")),
        ("swapped.csv", "title,filepath\r\na block,0.png\r\n\r\n", ("filepath", "title")),
        ("lines.csv", 'image,caption\n0.png,"a\nblock "\n', ("image", "caption")),
        ("tabs.tsv", "caption\timage\na block\t0.png\n", ("image", "caption")),
    ],
)
def test_forms_of_tables(folder, name, text, columns):
    (folder / "pictures" / name).write_text(text, encoding="utf-8")
    register_captions(NAME, folder / "pictures" / name, columns=columns)
    wanted = {"file_name": str(folder / "pictures" / "0.png"), "captions": ["a block"]}
    assert dataset_records(NAME) == [wanted]


def test_tabs_leave_quotation_marks_in_the_text(folder):
    table = folder / "pictures" / "tabs.tsv"
    table.write_text('image\tcaption\n0.png\t"a" block, 12" wide\n')
    register_captions(NAME, table)
    assert dataset_records(NAME)[0]["captions"] == ['"a" block, 12" wide']


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", ValueError, "the titles image and caption in the first line, got none"),
        (b"picture,text\n", ValueError, "in the first line, got .?'picture', 'text'"),
        (b"image,caption\n", ValueError, "a row for each picture, got none"),
        (
            b"image,caption\n0.png,a\n1.png,\n,b\n2.png,c,d\n3.png\n",
            ValueError,
            r"got 4 other rows of 5: line 3: no caption, line 4: no picture, line 5: more columns "
            r"than titles .* and 1 more",
        ),
        (b"image,caption\n0.png,a\ngone.png,b\n", FileNotFoundError, "line 3: .*gone.png"),
        (b'image,caption\n0.png,"a block\n1.png,b\n', ValueError, "line 2: expected a row"),
        (b"image,caption\n0.png,W\xfcrfel\n", ValueError, "expected UTF-8 text"),
    ],
    ids=["empty", "titles", "no rows", "rows", "missing", "quotes", "latin"],
)
def test_bad_tables_are_told_in_one_line(folder, content, error, message):
    (folder / "captions.csv").write_bytes(content)
    with pytest.raises(error, match=f"dataset 'own_captions': .*captions.csv.*{message}") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"name": NAME}, "item 1: expected the keys name, file or name, shards; add 'file'"),
        ({"name": NAME, "file": "c.csv", "image": "i"}, "unknown key 'image'; .* 'images'"),
        ({"name": NAME, "file": ""}, "item 1: expected the path of a table of captions, got ''"),
        ({"name": NAME, "file": "c.csv", "columns": "ab"}, "titles of two, .* got 'ab'"),
        ({"name": "storybook_val", "file": "c.csv"}, "'storybook_val' is taken"),
        ("c.csv", "expected {name: ..., file: ...} or {name: ..., shards: ...}, got 'c.csv'"),
    ],
    ids=["no file", "typo", "no path", "columns", "taken", "text"],
)
def test_bad_items_of_the_configuration(item, message):
    with pytest.raises(ValueError, match=f"DATASETS.CAPTIONS, item 1: .*{message}|{message}"):
        register_configured(cfg_for("DATASETS.CAPTIONS", [item]))


def test_a_sample_is_augmented_as_a_labelled_one_is(folder):
    """The same crops, colors and flips from the same seed, padded where the picture is small."""
    records = load(folder)
    labelled = datasets.write_blocks(folder / "pictures", count=4)
    for opts in ((), ("INPUT.CROP.SIZE", [64, 40], "INPUT.MIN_SIZE_TRAIN", (48,))):
        cfg = cfg_for(*opts)
        with datasets.registered("own_blocks", labelled):
            mappers = CaptionMapper(cfg, NAME), SemanticMapper(cfg, "own_blocks")
        views = set()
        for seed in range(6):
            with seeded(seed):
                sample = mappers[0](records[1])
            with seeded(seed):
                other = mappers[1](labelled[1])
            assert torch.equal(sample["image"], other["image"])
            views.add(sample["image"].numpy().tobytes())
        assert len(views) > 2
    assert (sample["height"], sample["width"]) == (48, 64)
    assert "captions" not in sample and "vocabulary" not in sample


def test_each_time_one_of_a_pictures_captions_is_drawn_by_seed_and_position(folder):
    load(folder)
    cfg = cfg_for("DATASETS.TRAIN", (NAME,))
    streams = [iter(loaders.build_train_loader(cfg, seed=1)) for _ in range(2)]
    first, second = ([item for _ in range(24) for item in next(stream)] for stream in streams)
    assert [item["caption"] for item in first] == [item["caption"] for item in second]
    drawn = {item["caption"] for item in first if item["file_name"].endswith("1.png")}
    assert drawn == {"red, green and blue", "a heap of blocks"}


def test_captions_and_labels_take_turns(folder):
    load(folder)
    blocks = datasets.write_blocks(folder / "labelled", count=3)
    with datasets.registered("own_blocks", blocks):
        cfg = cfg_for("DATASETS.TRAIN", (NAME, "own_blocks"))
        loaders.check_train_datasets(cfg)
        stream = iter(loaders.build_train_loader(cfg, seed=0))
        batches = [next(stream) for _ in range(6)]
    kinds = [{"caption" in item for item in batch} for batch in batches]
    assert kinds == 3 * [{True}, {False}]
    assert all("sem_seg" in item for batch in batches[1::2] for item in batch)


@pytest.mark.parametrize("method", ["FGASeg", "DenseCLIP"])
def test_methods_that_need_labels_refuse_captions_before_they_are_built(folder, method):
    load(folder)
    cfg = cfg_for("DATASETS.TRAIN", (NAME,), "MODEL.META_ARCHITECTURE", method)
    for check in (loaders.check_train_datasets, lambda cfg: loaders.build_train_loader(cfg, 0)):
        with pytest.raises(ValueError, match=f"labelled samples .*{method}, got .*captioned"):
            check(cfg)


def test_captions_are_no_truth(folder):
    load(folder)
    with pytest.raises(ValueError, match="a dataset with label maps, got 'own_captions'"):
        LabelSpec.from_metadata(NAME)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "has no captions; every picture needs a list of texts"),
        ({"captions": []}, "has no captions"),
        ({"captions": "a cat"}, "expected captions as a list of texts"),
        ({"captions": ["a cat", 7]}, "expected captions as texts, got 7"),
        ({"captions": [" "]}, "expected captions as texts, got ' '"),
    ],
    ids=["none", "empty", "text", "number", "blank"],
)
def test_records_of_a_dataset_registered_in_python(folder, record, message):
    picture = {"file_name": str(folder / "pictures" / "0.png")}
    with (
        datasets.registered("own_python", [picture | record], fgaseg_d2={"kind": "captioned"}),
        pytest.raises(ValueError, match=message) as caught,
    ):
        loaders.build_train_loader(cfg_for("DATASETS.TRAIN", ("own_python",)), seed=0)
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_is_told(folder):
    with (
        datasets.registered("own_kind", [{}], fgaseg_d2={"kind": "captions"}),
        pytest.raises(ValueError, match="one of labelled, captioned, segmented, got 'captions'"),
    ):
        dataset_records("own_kind")


def write_config(folder: Path, caption_of) -> Path:
    """Eight pictures of one color, and a configuration that trains on their captions."""
    rows = ["image,caption"]
    for index in range(8):
        color = np.array([index & 1, index >> 1 & 1, index >> 2 & 1]) * 200 + 20
        picture = np.full((32, 32, 3), color, np.uint8)
        Image.fromarray(picture).save(folder / f"{index}.png")
        rows.append(f"{index}.png,{caption_of(index)}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    path = folder / "captions.yaml"
    path.write_text(
        f"_BASE_: {ROOT / 'tests/data/small.yaml'}\n"
        "MODEL:\n"
        "  META_ARCHITECTURE: CLIPPretraining\n"
        f"  CLIP: {{NAME: {ROOT / 'tests/data/clip/Small-ViT-8.json'}, IMAGE_SIZE: [32, 32]}}\n"
        "DATASETS:\n"
        f"  CAPTIONS: [{{name: own_colors, file: {folder / 'table.csv'}}}]\n"
        "  TRAIN: [own_colors]\n"
        "  TEST: []\n"
        "INPUT: {MIN_SIZE_TRAIN: [32], CROP: {SIZE: [32, 32]}}\n"
        "SOLVER: {IMS_PER_BATCH: 8, MAX_ITER: 24, BASE_LR: 0.003, LR_MULTIPLIERS: {CLIP: 1.0},\n"
        "  WARMUP_ITERS: 0, CHECKPOINT_PERIOD: 100, AMP: {ENABLED: False}}\n"
        "DATALOADER: {NUM_WORKERS: 0}\n"
        "SEED: 3\n"
    )
    return path


def losses_of_training(folder: Path, caption_of, monkeypatch) -> list[float]:
    """The losses that a training through the program logs."""
    folder.mkdir()
    path = write_config(folder, caption_of)
    monkeypatch.chdir(ROOT)
    arguments = ["--config-file", str(path), "OUTPUT_DIR", str(folder / "output")]
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert train_net.main(arguments) == 0
    lines = (folder / "output" / "metrics.json").read_text().splitlines()
    return [json.loads(line)["loss_contrastive"] for line in lines]


def test_a_training_from_a_table_learns_what_the_captions_say(tmp_path, monkeypatch, capsys):
    told = losses_of_training(tmp_path / "told", lambda i: f"color {'abcdefgh'[i]}", monkeypatch)
    same = losses_of_training(tmp_path / "same", lambda i: "a color", monkeypatch)
    # Captions that say nothing of their picture leave chance: the logarithm of 8.
    assert told[-1] < 0.5 and same[-1] == pytest.approx(math.log(8), abs=0.02)
    assert check_dataset("own_colors").pictures == 8
    tool("check_dataset").main([str(tmp_path / "told" / "captions.yaml")])
    shown = capsys.readouterr().out
    assert "own_colors: 8 pictures, 8 captions of 2 to 2 words, 2.0 on average" in shown


def test_the_check_names_pictures_that_cannot_be_read(folder):
    load(folder)
    (folder / "pictures" / "2.png").write_bytes(b"no picture")
    report = check_dataset(NAME)
    assert report.pictures == 4 and len(report.captions) == 5
    assert len(report.problems) == 1 and "2.png" in report.problems[0]
    assert "error: " in report.text()
