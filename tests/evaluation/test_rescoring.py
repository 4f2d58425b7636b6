"""Saved predictions, and the tool that scores them without the model."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fgaseg_d2.evaluation import SegmentationEvaluator
from fgaseg_d2.evaluation.outcome import Evaluation, class_keys
from fgaseg_d2.evaluation.predictions import PredictionWriter, prediction_names, read_index
from fgaseg_d2.evaluation.report import write_report
from fgaseg_d2.evaluation.tally import Extras
from fgaseg_d2.evaluation.truth import GroundTruth
from tests import datasets
from tests.conftest import ROOT, tool
from tests.processes import PATIENCE

program = tool("evaluate_predictions")
RUN = {"weights": "model.pth", "protocol": "one look", "fingerprint": "12ab"}
EVERYTHING = Extras(boundary_iou=True, old_miou_rule=True)


def wide_set(folder, classes=300, count=3):
    """16-bit labels and predictions of more than 255 classes."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    records, predictions = [], []
    for index in range(count):
        truth = rng.integers(0, classes, (20, 30)).astype(np.uint16)
        predictions.append(np.where(rng.random(truth.shape) < 0.7, truth, 299))
        truth[:4] = 65535
        image = np.zeros((20, 30, 3), np.uint8)
        records.append(datasets.write_pair(folder, f"p{index}", image, truth))
    return records, predictions


@pytest.fixture
def saved(tmp_path):
    """A run that kept its predictions: folder, its own report, records."""
    records, predictions = wide_set(tmp_path / "data")
    names = [f"thing {index}, object {index}" for index in range(300)]
    meta = {"stuff_classes": names, "ignore_label": 65535, "unseen_classes": names[:9]}
    folder = tmp_path / "out" / "inference" / "wide_val" / "predictions"
    with datasets.registered("wide_val", records, **meta) as name:
        truth = GroundTruth.from_metadata(name)
        evaluator = SegmentationEvaluator(truth, EVERYTHING, PredictionWriter(folder, truth, RUN))
        evaluator.reset()
        for record, labels in zip(records, predictions):
            evaluator.process([record], [{"labels": torch.as_tensor(labels.astype(np.int32))}])
        results = evaluator.evaluate()["sem_seg"]
        rows = evaluator.tally.per_class(truth)
        single = [key for key in results if key in class_keys(names)]
        found = Evaluation(name, results, 3, 3, RUN, rows, of_classes=single)
        write_report(tmp_path / "out", found)
        yield folder, records


def call(capsys, *arguments):
    try:
        code = program.main([str(argument) for argument in arguments])
    except SystemExit as error:
        code = error.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


ALL = ("--boundary-iou", "--old-miou-rule")


def test_files_on_disk_follow_the_format(saved):
    folder, records = saved
    index = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    assert index["dataset"] == "wide_val" and index["ignore_label"] == 65535
    assert len(index["classes"]) == 300 and index["classes"][1] == "thing 1, object 1"
    for record in records:
        entry = index["files"][record["file_name"]]
        assert entry["truth"] == record["sem_seg_file_name"]
        with Image.open(folder / entry["prediction"]) as image:
            assert np.asarray(image).dtype == np.uint16 and np.asarray(image).max() == 299


def test_scoring_again_gives_the_same_files(saved, capsys, tmp_path):
    folder, _ = saved
    code, out, err = call(capsys, folder, *ALL, "--output", tmp_path / "again")
    assert code == 0 and "wide_val" in out, err
    first = tmp_path / "out"
    files = ["results.json", "results.csv", "results.md"]
    files += [f"inference/wide_val/{name}" for name in ("evaluation.json", "per_class.csv")]
    for name in files:
        assert (tmp_path / "again" / name).read_bytes() == (first / name).read_bytes(), name
    assert 0 < json.loads((first / "results.json").read_text())["wide_val"]["mIoU"] < 100


@pytest.mark.parametrize("source", ["dataset", "truth"])
def test_label_maps_of_another_program(saved, capsys, tmp_path, source):
    """Without the index, as TIFF or PNG with a palette, paired by name."""
    folder, records = saved
    maps, truth = tmp_path / "maps", tmp_path / "truth"
    maps.mkdir()
    truth.mkdir()
    for record in records:
        stem = record["file_name"].rpartition("/")[2].removesuffix(".png")
        with Image.open(folder / f"{stem}.png") as image:
            image.save(maps / f"{stem}.tif")
        shutil.copy(record["sem_seg_file_name"], truth / f"{stem}.png")
    classes = tmp_path / "classes.txt"
    classes.write_text("".join(f"thing {i}|object {i}\n" for i in range(300)), encoding="utf-8")
    options = {
        "dataset": ["--dataset", "wide_val"],
        "truth": ["--truth", truth, "--classes", classes, "--unseen-classes", "thing 3"],
    }[source]
    if source == "truth":
        options[-1] = tmp_path / "unseen.txt"
        options[-1].write_text("thing 3|object 3\n", encoding="utf-8")
    code, _, err = call(capsys, maps, *options, *ALL, "--output", tmp_path / source)
    assert code == 0, err
    name = "wide_val" if source == "dataset" else "maps"
    ours = json.loads((tmp_path / source / "results.json").read_text())[name]
    run = json.loads((tmp_path / "out" / "results.json").read_text())["wide_val"]
    for key in ("mIoU", "fwIoU", "mACC", "pACC", "mIoU_old_rule", "mBoundaryIoU", "pictures"):
        assert ours[key] == run[key]
    assert ours["IoU-thing 7, object 7"] == run["IoU-thing 7, object 7"]
    page = (tmp_path / source / "results.md").read_text(encoding="utf-8")
    assert "How the predictions were made is not known." in page


def damage(path):
    path.write_bytes(path.read_bytes()[:60])


def remove(path):
    path.unlink()


def put_wrong_class(path):
    Image.fromarray(np.full((20, 30), 700, np.uint16)).save(path)


def put_wrong_size(path):
    Image.fromarray(np.zeros((20, 31), np.uint16)).save(path)


def put_colors(path):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage, "label file"),
        (remove, "1 of 3 predictions do not exist"),
        (put_wrong_class, "expected classes 0 .. 299, got 700"),
        (put_wrong_size, "expected 20 x 30 pixels as in the truth, got 20 x 31"),
        (put_colors, "one integer channel"),
    ],
)
def test_what_is_wrong_with_a_prediction_is_said_in_a_line_that_names_it(
    saved, capsys, change, message
):
    folder, _ = saved
    change(folder / "p1.png")
    code, _, err = call(capsys, folder)
    assert code == 1 and not (folder / "scores").exists()
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert message in line and "p1.png" in line


def test_surplus_files_are_named_and_left_out(saved, capsys):
    folder, _ = saved
    shutil.copy(folder / "p1.png", folder / "from_yesterday.png")
    code, _, err = call(capsys, folder)
    assert code == 0 and "1 label files" in err and "from_yesterday.png" in err


def test_a_picture_without_a_prediction(saved, capsys, tmp_path):
    folder, _ = saved
    maps = shutil.copytree(folder, tmp_path / "maps")
    (maps / "predictions.json").unlink()
    (maps / "p2.png").unlink()
    code, _, err = call(capsys, maps, "--dataset", "wide_val")
    assert code == 1 and "got none for 1: p2" in err


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected JSON"),
        (b"[]", "expected the whole as dict, got list"),
        (b'{"dataset": "x"}', "expected files as dict, got nothing"),
        (b"{broken", "expected JSON"),
        (b'{"dataset": "caf\xe9"}', "expected UTF-8 text"),
        (b"[" * 100_000, "at most 64 levels"),
        (b'{"a":' * 100_000, "at most 64 levels"),
        (b'{"pictures": ' + b"9" * 10_000, "limit"),
    ],
)
def test_a_damaged_index(saved, capsys, data, reason):
    folder, _ = saved
    (folder / "predictions.json").write_bytes(data)
    code, _, err = call(capsys, folder)
    assert code == 1 and "predictions.json: expected the index" in err and reason in err
    assert err.count("\n") == 1 and len(err) < 400


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("dataset", {"a": 1}, "expected dataset as str, got dict"),
        ("dataset", None, "expected dataset as str, got nothing"),
        ("classes", [], "at least one name in classes"),
        ("classes", "cat", "expected classes as list, got str"),
        ("classes", ["cat", 3.5], "expected a name in classes as str, got float"),
        ("ignore_label", True, "expected ignore_label as int, got bool"),
        ("unseen_classes", [None], "expected a name in unseen_classes as str, got nothing"),
        ("pictures", "3", "expected pictures as int, got str"),
        ("run", [["a", 1]], "expected run as dict, got list"),
        ("files", ["p1.png"], "expected files as dict, got list"),
        ("files", {"p1.png": "p1.png"}, "expected files, p1.png as dict, got str"),
        ("files", {"p1.png": {"truth": "p1.png"}}, "files, p1.png, prediction as str, got nothing"),
    ],
)
def test_an_index_with_values_of_other_types(saved, capsys, key, value, reason):
    folder, _ = saved
    index = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    (folder / "predictions.json").write_text(json.dumps(index | {key: value}), encoding="utf-8")
    code, _, err = call(capsys, folder)
    assert code == 1 and "predictions.json: expected the index" in err and reason in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no/such/folder"], 1, "expected no/such/folder/predictions.json"),
        (["no/such/folder", "--dataset", "storybok_val"], 1, "nearest names are storybook_val"),
        (["x", "--truth", "y"], 1, "--truth DIR and --classes FILE together"),
        (["x", "--truth", "y", "--classes", "a,b"], 1, "label files (PNG or TIFF) in y, got none"),
        (["x", "--dataset", "y", "--truth", "z"], 2, "not allowed with argument"),
        (["x", "--ignore-label", "3"], 1, "--ignore-label with --truth only"),
        ([], 2, "FOLDER"),
    ],
)
def test_bad_command_lines(capsys, arguments, code, message):
    got, _, err = call(capsys, *arguments)
    assert got == code and message in err and len(err.splitlines()) == 1


def test_an_unfinished_run_is_not_taken_for_whole(saved):
    folder, _ = saved
    PredictionWriter(folder, read_index(folder).truth).start()
    with pytest.raises(FileNotFoundError, match=r"predictions.json, which ends a run"):
        read_index(folder)


def test_pictures_of_one_name_get_files_of_their_own():
    assert prediction_names(["a/1.jpg", "b/2.jpg"]) == {"a/1.jpg": "1.png", "b/2.jpg": "2.png"}
    names = prediction_names(["a/1.jpg", "b/1.jpg", "a/x.jpg", "a/X.jpg"])
    assert len({name.casefold() for name in names.values()}) == 4


def test_help_as_a_command():
    done = subprocess.run(
        [sys.executable, "tools/evaluate_predictions.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0 and "--truth" in done.stdout and "palette" in done.stdout
