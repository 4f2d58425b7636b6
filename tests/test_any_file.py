"""Files that are none, names that are no text, path objects: what stands in a dataset's records."""

import json
import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import build_detection_test_loader
from detectron2.evaluation import SemSegEvaluator
from parity.golden import read_golden
from parity.manifest import read_manifest
from PIL import Image

from fgaseg_d2 import Vocabulary
from fgaseg_d2.data.checking import check_dataset
from fgaseg_d2.data.labels import label_size, read_label
from fgaseg_d2.data.loaders import build_test_loader, build_train_loader
from fgaseg_d2.data.mappers.labelled import SemanticMapper
from fgaseg_d2.data.preparation.raw_files import picture_size, read_ids, read_png
from fgaseg_d2.engine import testing
from fgaseg_d2.engine.imports import import_user_module
from fgaseg_d2.evaluation.truth import GroundTruth
from fgaseg_d2.io.files import read_image
from fgaseg_d2_cli.segmenting import sources, videos
from tests import datasets
from tests.conftest import config, tool
from tests.engine.test_testing import KnowingTrainer, Painter, evaluation_config
from tests.processes import PATIENCE

ODD = os.fsdecode(b"caf\xe9")  # Latin 1; as UTF-8 this is no text


@pytest.fixture(autouse=True)
def never_waits():
    """End a test that waits at a FIFO; none comes near this many seconds."""

    def stop(number, frame):
        raise TimeoutError("waited for a writer")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def fifo(path):
    os.mkfifo(path)


def folder(path):
    path.mkdir()


def device(path):
    path.symlink_to("/dev/zero")


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        there = os.getcwd()
        try:
            os.chdir(path.parent)  # a socket's name may have 107 bytes
            server.bind(path.name)
        finally:
            os.chdir(there)


KINDS = {"a FIFO": fifo, "a folder": folder, "a device": device, "a socket": bound_socket}
READERS = {
    "picture": (read_image, "p.png"),
    "label": (read_label, "p.png"),
    "label's size": (label_size, "p.tif"),
    "class list": (Vocabulary.from_file, "c.txt"),
    "classes as JSON": (Vocabulary.coerce, "c.json"),
    "module": (lambda path: import_user_module(str(path)), "m.py"),
    "raw label": (lambda path: read_png(path, ("L",), "a grey PNG"), "p.png"),
    "raw picture": (picture_size, "p.jpg"),
    "list of ids": (read_ids, "val.txt"),
    "golden file": (read_golden, "g.npz"),
    "manifest": (read_manifest, "m.json"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_never_opened(tmp_path, reader, kind):
    read, name = READERS[reader]
    KINDS[kind](tmp_path / name)
    with pytest.raises((OSError, ValueError)) as caught:
        read(tmp_path / name)
    message = str(caught.value)
    assert name in message and kind in message and "\n" not in message and len(message) < 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["file_name", "sem_seg_file_name"])
def test_what_is_no_file_stops_every_use_of_a_dataset(tmp_path, kind, key, capsys, monkeypatch):
    records = datasets.write_blocks(tmp_path / "blocks", 2)
    path = Path(records[1][key])
    path.unlink()
    KINDS[kind](path)
    model = Painter()
    monkeypatch.setattr(KnowingTrainer, "model", model)
    with datasets.registered("holes", records, ignore_label=255):
        assert tool("check_dataset").main(["tests/data/small.yaml", "--datasets", "holes"]) == 1
        assert kind in capsys.readouterr().out
        for is_train in (True, False):
            mapper = SemanticMapper(config("tests/data/small.yaml"), "holes", is_train)
            with pytest.raises(FileNotFoundError, match=kind):
                mapper(records[1])
        with pytest.raises(FileNotFoundError, match=rf"1 of 4 files .* \({kind}\)"):
            testing.evaluate(
                evaluation_config(tmp_path, "DATASETS.TEST", ("holes",)), KnowingTrainer
            )
    assert model.asked == []


@pytest.mark.parametrize("what", ["truth", "prediction"])
def test_what_is_no_file_stops_tools_for_saved_predictions(tmp_path, what, capsys, monkeypatch):
    records = datasets.write_blocks(tmp_path / "blocks", 2)
    predictions = predict(tmp_path, records, monkeypatch)
    path = Path(records[1]["sem_seg_file_name"]) if what == "truth" else predictions / "1.png"
    path.unlink()
    fifo(path)
    for name in ("evaluate_predictions", "view_predictions"):
        assert tool(name).main([str(predictions)]) == 1
        assert path.name in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_video_is_never_opened(tmp_path, kind):
    KINDS[kind](tmp_path / "film.mp4")
    with pytest.raises(FileNotFoundError, match=kind):
        videos.VideoReader(sources.Source(tmp_path / "film.mp4", "film"))


def test_a_video_whose_name_is_no_text_is_an_error(tmp_path):
    """OpenCV ends the process at such a name."""
    (tmp_path / f"{ODD}.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"in UTF-8.*rename it"):
        videos.VideoReader(sources.Source(tmp_path / f"{ODD}.mp4", ODD))
    with pytest.raises(ValueError, match=r"in UTF-8.*rename it"):
        videos.VideoWriter(tmp_path / f"{ODD}.mp4", 5).write(np.zeros((8, 8, 3), np.uint8))


def predict(tmp_path, records, monkeypatch, name="odd_val"):
    """Evaluate with saved predictions; returns their folder."""
    monkeypatch.setattr(KnowingTrainer, "model", Painter(confuses=True))
    cfg = evaluation_config(tmp_path, "DATASETS.TEST", (name,), "TEST.SAVE_PREDICTIONS", True)
    with datasets.registered(name, records, ignore_label=255):
        assert testing.evaluate(cfg, KnowingTrainer)[name]["mIoU"] == pytest.approx(50)
    return tmp_path / "output" / "inference" / name / "predictions"


def renamed(tmp_path, rename):
    """Blocks whose files have other names."""
    records = []
    for index, record in enumerate(datasets.write_blocks(tmp_path / "blocks", 3)):
        made = {}
        for key, ending in (("file_name", ".png"), ("sem_seg_file_name", ".label.png")):
            path = tmp_path / "blocks" / (rename(index) + ending)
            made[key] = str(Path(record[key]).rename(path))
        records.append(made)
    return records


NAMES = {
    "no UTF-8": lambda index: f"{ODD}{index}",
    "any byte": lambda index: os.fsdecode(b"\xff\xfe") + str(index),
    "line break": lambda index: f"two\nlines{index}",
    "markup": lambda index: f"<b>&{index}",
    "emoji": lambda index: f"\N{CAT FACE}{index}",
}


@pytest.mark.parametrize("kind", NAMES)
def test_any_name_of_a_file_goes_through_every_tool(tmp_path, monkeypatch, capsys, kind):
    records = renamed(tmp_path, NAMES[kind])
    predictions = predict(tmp_path, records, monkeypatch)
    index = json.loads((predictions / "predictions.json").read_text(encoding="utf-8"))
    assert list(index["files"]) == [record["file_name"] for record in records]
    again = tmp_path / "again"
    assert tool("evaluate_predictions").main([str(predictions), "--output", str(again)]) == 0
    first, second = (
        (root / "inference" / "odd_val" / "per_class.csv").read_bytes()
        for root in (tmp_path / "output", again)
    )
    assert first == second
    assert tool("view_predictions").main([str(predictions)]) == 0
    page = (predictions.parent / "view.html").read_text(encoding="utf-8")
    assert "mIoU 50.0%" in page and "<b>&0" not in page
    # What goes wrong is told in one line, whatever the name.
    Path(records[1]["sem_seg_file_name"]).unlink()
    capsys.readouterr()
    assert tool("view_predictions").main([str(predictions)]) == 1
    assert "does not exist" in capsys.readouterr().err.strip().splitlines()[-1]
    with datasets.registered("odd_val", records, ignore_label=255):
        assert tool("check_dataset").main(["tests/data/small.yaml", "--datasets", "odd_val"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "error" in line]
    assert "does not exist" in line


def test_a_folder_of_odd_names_is_a_dataset_and_can_be_prepared(tmp_path, capsys):
    """The tools that pair files by name, and the one that complains of strangers."""
    renamed(tmp_path, NAMES["no UTF-8"])
    images, labels = tmp_path / "images", tmp_path / "labels"
    for target, ending in ((images, ".png"), (labels, ".label.png")):
        target.mkdir()
        for index in range(3):
            name = NAMES["no UTF-8"](index)
            (tmp_path / "blocks" / f"{name}{ending}").rename(target / f"{name}.png")
    (labels / f"{ODD}0.png").unlink()
    entry = f"{{name: odd_folders, images: {images}, labels: {labels}, vocabulary: 'a,b,c,d'}}"
    (tmp_path / "odd.yaml").write_text(
        f"_BASE_: {Path('tests/data/small.yaml').resolve()}\nDATASETS: {{FOLDERS: [{entry}]}}\n"
    )
    assert tool("check_dataset").main([str(tmp_path / "odd.yaml")]) == 0
    assert "odd_folders: 2 pictures" in capsys.readouterr().out


FORMS = {
    "path objects": Path,
    "text": str,
    "bytes": os.fsencode,
}


@pytest.mark.parametrize("form", FORMS)
def test_path_objects_in_records_work_everywhere(tmp_path, monkeypatch, capsys, form):
    written = datasets.write_blocks(tmp_path / "blocks", 3)
    records = [{key: FORMS[form](name) for key, name in record.items()} for record in written]
    with datasets.registered("odd_val", records, ignore_label=255) as name:
        assert check_dataset(name).problems == []
        truth = GroundTruth.from_metadata(name)
        assert list(truth.files) == [record["file_name"] for record in written]
        cfg = evaluation_config(tmp_path, "DATASETS.TEST", (name,), "DATASETS.TRAIN", (name,))
        assert next(iter(build_train_loader(cfg, seed=0)))[0]["sem_seg"].shape == (64, 64)
        mapper = SemanticMapper(cfg, name, is_train=False)
        for loader in (
            build_test_loader(cfg, name),
            build_detection_test_loader(cfg, name, mapper=mapper, num_workers=0),
        ):
            assert [batch[0]["file_name"] for batch in loader] == [r["file_name"] for r in records]
        # Detectron2's evaluator looks pictures up by what the dataset lists.
        theirs = SemSegEvaluator(
            name,
            distributed=False,
            sem_seg_loading_fn=lambda file, dtype: np.array(Image.open(os.fsdecode(file)), dtype),
        )
        theirs.reset()
        sample = mapper(records[0])
        theirs.process([sample], Painter()([sample]))
    predictions = predict(tmp_path, records, monkeypatch)
    for program in ("evaluate_predictions", "view_predictions"):
        assert tool(program).main([str(predictions)]) == 0, capsys.readouterr().err
    with datasets.registered("odd_val", records, ignore_label=255):
        assert tool("evaluate_predictions").main([str(predictions), "--dataset", "odd_val"]) == 0


@pytest.mark.parametrize("value", [7, ["a.png"], {"path": "a.png"}, True])
@pytest.mark.parametrize("key", ["file_name", "sem_seg_file_name"])
def test_what_is_no_path_is_named_with_the_dataset(tmp_path, key, value):
    records = datasets.write_blocks(tmp_path, 2)
    records[1][key] = value
    with (
        datasets.registered("odd_val", records, ignore_label=255) as name,
        pytest.raises(ValueError, match=rf"'odd_val': record 1: expected {key} as a path, got"),
    ):
        GroundTruth.from_metadata(name)


@pytest.mark.parametrize("name", ["a/b", "..", "/tmp/elsewhere"])
def test_saved_predictions_of_a_set_that_no_folder_can_be_called_after(
    tmp_path, monkeypatch, capsys, name
):
    """It is said before the scoring, and nothing is written."""
    records = datasets.write_blocks(tmp_path / "blocks", 2)
    predictions = predict(tmp_path, records, monkeypatch)
    path = predictions / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": name}))
    assert tool("evaluate_predictions").main([str(predictions)]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "can go into a folder of its name" in error and repr(name) in error
    assert not (predictions / "scores").exists()


def test_the_folder_of_predictions_may_be_the_present_one(tmp_path, monkeypatch, capsys):
    """Its name becomes the test set's, which "." is none for."""
    truth = tmp_path / "truth"
    for parent in (truth, tmp_path / "maps"):
        parent.mkdir()
        Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).save(parent / "a.png")
    monkeypatch.chdir(tmp_path / "maps")
    for given in (".", "../maps", "./"):
        options = ["--truth", str(truth), "--classes", "a,b,c,d", "--output", str(tmp_path / "out")]
        assert tool("evaluate_predictions").main([given, *options]) == 0
        assert "| maps | 1 | 100.00 |" in capsys.readouterr().out
