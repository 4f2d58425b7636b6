"""The demo's command line, as a person would use it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import fgaseg_d2
from fgaseg_d2.exports import FORMATS
from fgaseg_d2.io.rasters import read_bands
from fgaseg_d2_cli import segment
from tests.demo_tools import (
    RANDOM,
    ROOT,
    SLOW,
    demo,
    imported,
    in_process,
    last_line,
    write_picture,
    write_video,
)


@pytest.fixture
def main(monkeypatch, capfd):
    """The demo's main function; returns exit code and what was written."""
    return in_process(monkeypatch, capfd)


@pytest.fixture(scope="module")
def good_run(tmp_path_factory):
    """One run over all that there is: two folders, equal names, a glob, a video, a bad picture."""
    folder = tmp_path_factory.mktemp("demo")
    write_picture(folder / "one" / "scene.png")
    write_picture(folder / "two" / "scene.jpg", (50, 70), 1)
    write_picture(folder / "two" / "with blank [1].png", (31, 17), 2)
    (folder / "two" / "broken.png").write_bytes(b"no picture")
    (folder / "two" / "notes.txt").write_text("not looked at")
    write_video(folder / "clip.mp4")
    result = demo(
        *("--input", "one/scene.png", "two", "one/*.png", "clip.mp4"),
        *("--vocab", "red house,tree|pine,blue sky", "--background", "wall, floor"),
        *("--batch-size", 2, "--output", "results/new", *RANDOM),
        cwd=folder,
    )
    return folder, folder / "results" / "new", result


def test_a_bad_picture_is_reported_and_the_rest_done(good_run):
    _, _, result = good_run
    assert result.returncode == 1, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "two/broken.png" in errors[0]
    assert "Traceback" not in result.stderr
    assert last_line(result.stdout) == "4 of 5 done, results in results/new"
    assert "picture" in result.stderr  # the progress bar


def test_every_result_is_there_and_nothing_else(good_run):
    _, output, _ = good_run
    assert sorted(path.name for path in output.iterdir()) == [
        "clip.json",
        "clip_overlay.mp4",
        "scene.json",
        "scene_2.json",
        "scene_2_labels.png",
        "scene_2_overlay.jpg",
        "scene_labels.png",
        "scene_overlay.png",
        "with blank [1].json",
        "with blank [1]_labels.png",
        "with blank [1]_overlay.png",
    ]


def test_results_fit_the_pictures(good_run):
    folder, output, _ = good_run
    for stem, size in (("scene", (60, 40)), ("scene_2", (50, 70))):
        content = json.loads((output / f"{stem}.json").read_text())
        labels = np.asarray(Image.open(output / f"{stem}_labels.png"))
        assert labels.shape == size[::-1]
        assert list(content["shares"]) == ["red house", "tree", "blue sky", "background"]
        for index, share in enumerate(content["shares"].values()):
            assert share == pytest.approx((labels == index).mean(), abs=1e-5)
        assert (folder / content["image"]).is_file()
        assert content["vocabulary"]["classes"] == [["red house"], ["tree", "pine"], ["blue sky"]]
        assert content["vocabulary"]["background"] == ["wall", "floor"]
        assert "random weights" in content["weights"]


def test_video_keeps_its_frames(good_run):
    _, output, _ = good_run
    content = json.loads((output / "clip.json").read_text())
    assert content["frames"] == 5
    assert (content["width"], content["height"]) == (64, 48)
    assert sum(content["shares"].values()) == pytest.approx(1, abs=1e-4)
    video = cv2.VideoCapture(str(output / "clip_overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    assert video.read()[0]


def test_says_weights_and_words(good_run):
    _, _, result = good_run
    assert "weights: random weights (none of " in result.stdout
    assert "means nothing" in result.stdout
    assert "4 classes: red house, tree, blue sky, background" in result.stdout


def test_help_answers_at_once(tmp_path):
    result = demo("--help", cwd=tmp_path, python=["-X", "importtime"])
    assert result.returncode == 0
    assert "--vocab" in result.stdout
    assert "storybook_val" in result.stdout
    assert "argparse" in imported(result.stderr)
    assert not SLOW & imported(result.stderr)


def test_explain_draws_a_sheet_beside_the_usual_results(main, monkeypatch, tmp_path):
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "b.jpg", (70, 50), 1)
    words = ("--vocab", "red house,tree|pine,blue sky", "--background-threshold", "0.4")
    words += ("--weights", Path(fgaseg_d2.__file__).parent / "weights/storybook_vit8.safetensors")
    pictures = (tmp_path / "a.png", tmp_path / "b.jpg")
    assert main("--input", *pictures, *words, "--output", tmp_path / "usual")[0] == 0
    monkeypatch.chdir(tmp_path)
    code, output, errors = main(
        *("--input", "a.png", "b.jpg", *words, "--output", "explained", "--explain"),
        *("--explain-words", 2, "--batch-size", 2),
    )
    assert code == 0, errors
    before = {path.name for path in (tmp_path / "usual").iterdir()}
    after = {path.name for path in (tmp_path / "explained").iterdir()}
    assert after == before | {"a_explain.png", "b_explain.png"}
    for name in ("a_labels.png", "b_labels.png", "b_overlay.jpg"):
        same = ((tmp_path / folder / name).read_bytes() for folder in ("usual", "explained"))
        assert next(same) == next(same)
    assert "explained/a_explain.png: 2 of 4 words; --explain-words 4 shows all" in output
    with Image.open(tmp_path / "explained" / "a_explain.png") as sheet:
        assert sheet.width > 1000
        assert sheet.height > 2 * 200
        assert len(sheet.convert("RGB").getcolors(2**24)) > 500


def test_formats_of_other_programs_hold_all_pictures(main, tmp_path):
    assert set(segment.FORMATS) == set(FORMATS)
    names = ("a", "b")
    for seed, name in enumerate(names):
        write_picture(tmp_path / f"{name}.png", (60, 40 + seed), seed)
    files = [tmp_path / f"{name}.png" for name in names]
    new = tmp_path / "new"
    formats = [name for name in FORMATS if not name.startswith("geo")]
    code, _, errors = main(
        *(*files, "--vocab", "house,tree,sky", "--output", new),
        *("--format", *formats),
    )
    assert code == 0, errors
    assert {path.name for path in new.iterdir() if path.is_dir()} == set(formats)
    coco = COCO(new / "coco" / "annotations.json")
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["a.png", "b.png"]
    classes = ["house", "tree", "sky"]
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == classes
    for number, name in enumerate(names, start=1):
        labels = np.array(Image.open(new / f"{name}_labels.png"))
        with Image.open(new / "png" / f"{name}.png") as indexed:
            assert indexed.mode == "P" and np.array_equal(np.array(indexed), labels)
        areas = np.zeros(len(classes), int)
        for annotation in coco.imgToAnns[number]:
            areas[annotation["category_id"] - 1] += coco.annToMask(annotation).sum()
        assert areas.tolist() == np.bincount(labels.ravel(), minlength=len(classes)).tolist()


def test_bands_of_a_picture_of_the_earth_are_shown_as_red_green_and_blue(main, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    bands = np.random.default_rng(0).integers(200, 3000, (6, 48, 64)).astype(np.uint16)
    profile = {"driver": "GTiff", "count": 6, "height": 48, "width": 64, "dtype": "uint16"}
    with rasterio.open(tmp_path / "many.tif", "w", **profile) as file:
        file.write(bands)
    # Each band from its 2nd to its 98th percentile, as that function's own test computes.
    Image.fromarray(read_bands(tmp_path / "many.tif", (4, 3, 2))).save(tmp_path / "shown.png")
    common = ("--vocab", "cat,dog,sky", "--output", tmp_path / "new")
    files = (tmp_path / "many.tif", "--bands", "4,3,2"), (tmp_path / "shown.png",)
    for file in files:
        assert main("--input", *file, *common)[0] == 0
    many, shown = (
        np.array(Image.open(tmp_path / "new" / f"{name}_labels.png")) for name in ("many", "shown")
    )
    assert (many == shown).all() and many.shape == (48, 64)
    code, _, errors = main("--input", tmp_path / "many.tif", "--bands", 7, *common)
    assert code == 1 and "expected bands from 1 to 6" in errors and "got 7" in errors


def test_routes_of_a_point_are_drawn_and_a_picture_without_it_is_named(main, tmp_path):
    write_picture(tmp_path / "a.png", (60, 40))
    write_picture(tmp_path / "b.png", (40, 60), 1)
    files = (tmp_path / "a.png", tmp_path / "b.png")
    model = ("--config-file", ROOT / "tests/data/small.yaml", "--opts")
    model += ("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.LDVC.HEADS", 4)
    model += ("MODEL.CLIP.NAME", ROOT / "tests/data/clip/Small-ViT-8.json")
    common = ("--vocab", "cat,dog", "--explain", "--output")
    code, output, _ = main("--input", *files, *common, tmp_path / "middle", *model)
    assert code == 0
    assert "a_explain.png: 2 of 2 words; routes of the point 30,20, --explain-point X,Y" in output
    point = ("--explain-point", "50,3", "--batch-size", 2)
    code, output, errors = main("--input", *files, *common, tmp_path / "there", *point, *model)
    assert code == 1
    assert "routes of the point 50,3\n" in output
    (line,) = (line for line in errors.splitlines() if line.startswith("error: "))
    assert "b.png: expected a point inside the picture, x from 0 to 39" in line
    sheets = [Image.open(tmp_path / folder / "a_explain.png") for folder in ("middle", "there")]
    assert sheets[0].size == sheets[1].size and sheets[0].tobytes() != sheets[1].tobytes()
    assert not list((tmp_path / "there").glob("b*"))


def test_own_words_of_the_configuration(main, tmp_path):
    write_picture(tmp_path / "a.png")
    code, output, _ = main(
        "--input", tmp_path / "a.png", "--output", tmp_path / "new", "--synonyms", "mean", *RANDOM
    )
    assert code == 0
    assert "the own words of tiny" in output


def test_missing_clip_weights_are_said_loudly(main, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    write_picture(tmp_path / "a.png")
    code, output, errors = main(
        *("--input", tmp_path / "a.png", "--vocab", "cat,dog", "--output", tmp_path / "new"),
        *("--opts", "MODEL.WEIGHTS", "", "MODEL.CLIP.NAME", "ViT-B-32-quickgelu"),
        *("MODEL.CLIP.PRETRAINED", "openai"),
    )
    assert code == 0, errors
    assert "RANDOM WEIGHTS" in errors
    assert "means NOTHING" in errors
    assert "random weights" in output
    assert "Traceback" not in errors


class Camera:
    """Stands for OpenCV's capture of a camera: three frames, then the user presses Ctrl-C."""

    frames = 0

    def isOpened(self):  # noqa: N802 (OpenCV's name)
        return True

    def get(self, _):
        return 0.0

    def read(self):
        self.frames += 1
        if self.frames > 3:
            raise KeyboardInterrupt
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        pass


def test_ctrl_c_finishes_the_video_of_a_camera(main, tmp_path, monkeypatch):
    files = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda it: Camera() if it == 5 else files(it))
    code, text, errors = main("--webcam", "5", "--vocab", "cat", "--output", tmp_path, *RANDOM)
    assert code == 0, errors
    assert "3 frames" in text
    content = json.loads((tmp_path / "webcam5.json").read_text())
    assert (content["image"], content["frames"]) == ("camera 5", 3)
    assert cv2.VideoCapture(str(tmp_path / "webcam5_overlay.mp4")).get(7) == 3


def test_an_error_of_a_camera_names_it_and_is_told_as_it_is(main, tmp_path, monkeypatch):
    def batch(self, images, vocabulary):
        raise MemoryError

    files = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", lambda it: Camera() if it == 0 else files(it))
    monkeypatch.setattr(fgaseg_d2.OpenVocabPredictor, "batch", batch)
    code, _, errors = main("--webcam", "0", "--vocab", "cat", "--output", tmp_path, *RANDOM)
    assert code == 1
    assert last_line(errors).startswith("error: camera 0: expected enough memory")
    assert "--opts INPUT.MIN_SIZE_TEST 320," in last_line(errors)
