"""The tool that draws saved predictions: counts, order, the page, the sheet, bad input."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from fgaseg_d2.evaluation.predictions import read_index
from fgaseg_d2.evaluation.worst import count_pixels, read_pair
from tests.conftest import tool

CLASSES = ["sky", "cat <b>", "tree, oak", "never"]


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four pictures: the cat is taken for the sky in two, half of a tree for a cat in the last."""
    files = {}
    for index in range(4):
        truth = np.zeros((20 + index, 32), np.uint8)
        truth[:, 8:16], truth[:, 16:24], truth[:2] = 1, 2, 255
        prediction = np.where(truth == 255, 3, truth).astype(np.uint8)
        if index >= 2:
            prediction[:, 8:16] = 0
        if index == 3:
            prediction[10:, 16:24] = 1
        write(tmp_path / f"images/{index}.jpg", np.full((*truth.shape, 3), 60 * index, np.uint8))
        write(tmp_path / f"labels/{index}.png", truth)
        write(tmp_path / f"test/predictions/{index}.png", prediction)
        files[str(tmp_path / f"images/{index}.jpg")] = {
            "prediction": f"{index}.png",
            "truth": str(tmp_path / f"labels/{index}.png"),
        }
    content = {"dataset": "toys", "classes": CLASSES, "ignore_label": 255, "files": files}
    (tmp_path / "test/predictions/predictions.json").write_text(json.dumps(content))
    return tmp_path / "test" / "predictions"


def counted(folder):
    saved = read_index(folder)
    return count_pixels(saved, saved.files)


def view(*arguments):
    return tool("view_predictions").main([str(argument) for argument in arguments])


class Page(HTMLParser):
    """Titles, pictures and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.titles, self.images, self.addresses, self.in_title = [], [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "h2":
            self.in_title = True
            self.titles.append("")
        attrs = dict(attrs)
        self.images += [attrs["src"]] if tag == "img" else []
        self.addresses += [value for key, value in attrs.items() if key in ("src", "href")]

    def handle_endtag(self, tag):
        self.in_title = self.in_title and tag != "h2"

    def handle_data(self, data):
        if self.in_title:
            self.titles[-1] += data


def test_counts_are_those_of_single_pixels(folder):
    counts = counted(folder)
    truths, predictions = [], []
    for name in counts.pictures:
        truth, prediction = read_pair(read_index(folder), name)
        truths.append(truth[truth != 255])
        predictions.append(prediction[truth != 255])
    truth, prediction = np.concatenate(truths), np.concatenate(predictions)
    for index in range(3):
        either = (truth == index) | (prediction == index)
        both = (truth == index) & (prediction == index)
        assert counts.iou[index] == pytest.approx(both.sum() / either.sum())
        for other in range(4):
            pairs = ((truth == index) & (prediction == other)).sum()
            assert counts.matrix[other, index] == pairs
    # Pixels without truth count nowhere, and a class that is never there has no IoU.
    assert np.isnan(counts.iou[3]) and counts.predicted[:, 3].sum() == 0
    assert counts.accuracy == pytest.approx((truth == prediction).mean())


def test_worst_classes_and_the_pictures_that_cost_them_most(folder):
    counts = counted(folder)
    assert counts.worst_classes(9) == [1, 0, 2]
    assert counts.worst_classes(1) == [1]
    # The last picture has missed cats and a tree taken for one.
    assert counts.costliest_pictures(1, 9) == [3, 2]
    assert counts.costliest_pictures(2, 9) == [3]
    assert [index for index, _ in counts.taken_for(1)] == [0]
    ((index, share),) = counts.taken_for(2)
    assert index == 1 and share == pytest.approx(13 * 8 / counts.truth[:, 2].sum())


def test_the_page_needs_no_other_file(folder, capsys):
    assert view(folder) == 0
    text = (folder.parent / "view.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.titles == ["cat <b>", "sky", "tree, oak", "A sample of the test set"]
    # 2 + 2 + 1 pictures of classes and the sample of 4, four panels each.
    assert len(page.images) == 4 * (2 + 2 + 1 + 4)
    assert all(address.startswith(("data:image/jpeg;base64,", "#s")) for address in page.addresses)
    assert "<b>" not in text and "cat &lt;b&gt;" in text
    summary = capsys.readouterr().out
    assert re.search(r"mIoU [\d.]+% over the 3 of 4 classes that occur", summary)
    assert str(folder.parent / "view.html") in summary


def test_the_page_stays_as_small_as_asked(folder):
    few = ("--classes", 1, "--pictures", 1, "--sample", 0)
    assert view(folder, *few, "--size", 64, "--output", folder / "few.html") == 0
    page = Page((folder / "few.html").read_text(encoding="utf-8"))
    assert page.titles == ["cat <b>"] and len(page.images) == 4
    assert (folder / "few.html").stat().st_size < 20_000


def test_chosen_classes_and_a_sheet(folder):
    sheet = folder / "sheet.png"
    assert view(folder, "--only", "sky", "--sheet", sheet, "--size", 64, "--sample", 0) == 0
    with Image.open(sheet) as image:
        assert image.width >= 4 * 64 and image.height > 3 * 64
    assert not (folder.parent / "view.html").exists()


def test_wide_labels_and_classes_without_colors(tmp_path):
    """More than 255 classes in 16 bits, and a name that no dataset here has."""
    classes = [f"class {index}" for index in range(400)]
    truth = np.arange(400, dtype=np.uint16).reshape(20, 20)
    prediction = truth.copy()
    prediction[truth == 399] = 256
    write(tmp_path / "a.jpg", np.zeros((20, 20, 3), np.uint8))
    write(tmp_path / "truth.png", truth)
    write(tmp_path / "predicted.png", prediction)
    names = {"prediction": "predicted.png", "truth": str(tmp_path / "truth.png")}
    content = {"dataset": "no_such_set", "classes": classes, "ignore_label": 65535}
    content["files"] = {str(tmp_path / "a.jpg"): names}
    (tmp_path / "predictions.json").write_text(json.dumps(content))
    counts = counted(tmp_path)
    assert counts.worst_classes(2) == [399, 256] and counts.iou[256] == 0.5
    assert view(tmp_path, "--classes", 2, "--output", tmp_path / "view.html") == 0
    titles = Page((tmp_path / "view.html").read_text(encoding="utf-8")).titles
    assert titles[:2] == ["class 399", "class 256"]


def remove_picture(folder):
    next((folder.parent.parent / "images").glob("3.jpg")).unlink()


def remove_truth(folder):
    (folder.parent.parent / "labels/0.png").unlink()


def other_size(folder):
    write(folder / "0.png", np.zeros((9, 9), np.uint8))


def bad_value(folder):
    write(folder / "0.png", np.full((20, 32), 9, np.uint8))


def truncated(folder):
    path = folder / "predictions.json"
    path.write_text(path.read_text()[:200])


def no_list(folder):
    (folder / "predictions.json").write_text('["a"]')


def nothing(folder):
    (folder / "predictions.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "arguments", "message"),
    [
        (remove_picture, (), r"images/3\.jpg"),
        (remove_truth, (), r"labels/0\.png does not exist"),
        (other_size, (), r"expected 20 x 32 pixels .* got 9 x 9 in .*0\.png"),
        (bad_value, (), r"0\.png: expected label values 0 .. 3 .* got 9"),
        (truncated, (), r"predictions\.json: expected the index of saved predictions"),
        (no_list, (), r"predictions\.json: expected the index of saved predictions"),
        (nothing, (), r"expected .*predictions\.json, which .* got nothing"),
        (str, ("--only", "skye"), "'skye' is no class .* did you mean sky"),
        (str, ("--output", "/proc/no/view.html"), "/proc/no"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, capsys, spoil, arguments, message):
    spoil(folder)
    assert view(folder, *arguments) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert re.search(message, line), line
    assert not (folder.parent / "view.html").exists()
