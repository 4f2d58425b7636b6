"""COCO's files of captions as a dataset to train on."""

import json

import pytest
from pycocotools.coco import COCO

from fgaseg_d2.data import loaders, register_captions
from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.datasets.configured import register_configured
from fgaseg_d2.data.records import dataset_records
from tests import datasets
from tests.shard_files import NAME, cfg_for

pytestmark = pytest.mark.usefixtures("datasets_stay_in_their_test")

TEXTS = ("A block of red.\n", "two blocks", "  many   blocks ", "ein Würfel", "nothing")


@pytest.fixture
def folder(tmp_path):
    """Four pictures, the last without a caption, and five captions in no order."""
    datasets.write_blocks(tmp_path / "train2017", count=4)
    write(tmp_path, content())
    return tmp_path


def content():
    images = [
        {"license": 1, "file_name": f"{i}.png", "height": 48, "width": 64, "id": 900 - i}
        for i in range(4)
    ]
    owners = (898, 900, 900, 899, 900)
    annotations = [
        {"image_id": owner, "id": 40 + i, "caption": text}
        for i, (owner, text) in enumerate(zip(owners, TEXTS, strict=True))
    ]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations}


def write(folder, what):
    (folder / "captions.json").write_text(json.dumps(what))


def load(folder):
    register_captions(NAME, folder / "captions.json", folder / "train2017")
    return dataset_records(NAME)


def test_captions_go_to_their_pictures_as_pycocotools_has_them(folder):
    theirs = COCO(folder / "captions.json")
    wanted = {
        entry["file_name"]: [one["caption"].split() for one in theirs.imgToAnns[number]]
        for number, entry in theirs.imgs.items()
    }
    # No picture without a caption can be trained on.
    assert wanted.pop("3.png") == []
    found = {
        record["file_name"].rpartition("/")[2]: [text.split() for text in record["captions"]]
        for record in load(folder)
    }
    assert found == wanted and len(found["0.png"]) == 3
    assert dataset_records(NAME)[0]["captions"][1] == "many blocks"


def test_a_configuration_trains_on_them(folder):
    item = {"name": NAME, "file": str(folder / "captions.json")}
    item["images"] = str(folder / "train2017")
    cfg = cfg_for("DATASETS.CAPTIONS", [item])
    assert register_configured(cfg) == [NAME]
    batches = iter(loaders.build_train_loader(cfg, seed=0))
    drawn = {item["caption"] for _ in range(30) for item in next(batches)}
    assert drawn == {" ".join(text.split()) for text in TEXTS}
    report = check_dataset(NAME)
    assert (report.pictures, len(report.captions), report.problems) == (3, 5, [])


def changed(key, position, **changes):
    """The content with another entry; None in `changes` leaves a key out."""
    new = content()
    new[key][position].update(changes)
    new[key][position] = {k: v for k, v in new[key][position].items() if v is not None}
    return new


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ([], ValueError, "a dict with the lists images and annotations, got list"),
        ({"images": []}, ValueError, "images and annotations, got 'images'; take captions_train"),
        ({"images": 3, "annotations": []}, ValueError, "got 'images', 'annotations'"),
        ({"images": [], "annotations": []}, ValueError, "a caption of some picture, got none"),
        (changed("images", 1, id=None), ValueError, r"got 2 other entries: images\[1\]: no id"),
        (changed("images", 1, id=[1]), ValueError, r"images\[1\]: no id"),
        (changed("images", 1, id=900), ValueError, r"images\[1\]: the id 900 a second time"),
        (changed("images", 2, file_name=" "), ValueError, r"images\[2\]: no file_name"),
        (changed("annotations", 3, image_id=7), ValueError, r"\[3\]: the image_id 7, which no"),
        (changed("annotations", 3, image_id={}), ValueError, r"\[3\]: the image_id {}, which no"),
        (changed("annotations", 0, caption=" \n"), ValueError, r"annotations\[0\]: no caption"),
        (changed("annotations", 0, caption=3), ValueError, r"annotations\[0\]: no caption"),
        (
            changed("images", 0, file_name="x.png"),
            FileNotFoundError,
            "1 of 3 pictures do not exist",
        ),
    ],
)
def test_other_forms_are_told_in_one_line(folder, what, error, message):
    write(folder, what)
    with pytest.raises(error, match=f"dataset '{NAME}': .*captions.json.*{message}") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_is_told(folder):
    (folder / "captions.json").write_bytes(b"image,caption\n0.png,a block\n")
    with pytest.raises(ValueError, match="captions.json: expected JSON, got an error"):
        load(folder)
    (folder / "captions.json").unlink()
    with pytest.raises(FileNotFoundError, match="a file of captions at .*captions.json"):
        load(folder)


def test_addresses_are_kept_and_not_looked_for(folder):
    told = content()
    told["images"][0]["file_name"] = "s3://bucket/0.png"
    write(folder, told)
    names = [record["file_name"] for record in load(folder)]
    assert names == ["s3://bucket/0.png", *(f"{folder}/train2017/{i}.png" for i in (1, 2))]
