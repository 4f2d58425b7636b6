"""What the demo says to bad input, and what it leaves behind."""

import logging

import cv2
import numpy as np
import pytest
from PIL import Image

from fgaseg_d2_cli.segmenting.messages import library_warnings
from tests.demo_tools import (
    RANDOM,
    SLOW,
    demo,
    imported,
    in_process,
    last_line,
    write_picture,
    write_video,
)
from tests.processes import interrupted_when


@pytest.fixture
def main(monkeypatch, capfd):
    """The demo's main function; returns exit code and what was written."""
    return in_process(monkeypatch, capfd)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "expected pictures, videos or folders to look at, got none"),
        (("--input",), "expected at least one argument"),
        (("--input", "a.png", "--webcam"), "or --webcam, got both"),
        (("--input", "none.png"), "got 'none.png'"),
        (("--input", "*.none"), "a glob that fits some, got '*.none'"),
        (("--input", "."), "a folder with pictures or videos"),
        (("--input", "a.png", "--batch-size", "0"), "a whole number of 1 or more, got '0'"),
        (("--input", "a.png", "--synonyms", "min"), "invalid choice"),
        (("--input", "a.png", "--background-threshold", "high"), "invalid float"),
        (("--input", "a.png", "--vocabulary", "cat"), "unrecognized arguments"),
        (("--webcam", "--format", "coco"), "expected only pictures with --format, got --webcam"),
        (("--input", "a.png", "--format", "coc"), "invalid choice: 'coc'"),
        (("--webcam", "--explain"), "expected only pictures with --explain, got --webcam"),
        (("--webcam", "--explain-words", "3"), "expected --explain with --explain-words"),
        (("--input", "a.png", "--explain", "--explain-words", "0"), "a whole number of 1 or more"),
        (("--webcam", "--explain-point", "3,4"), "expected --explain with --explain-point"),
        (("--webcam", "--bands", "3"), "expected only pictures with --bands, got --webcam"),
        (("--input", "a.png", "--bands", "4,3"), "three such as 4,3,2, got '4,3'"),
        (("--input", "a.png", "--bands", "0"), "whole number of 1 or more, got '0'"),
        (("--input", "a.png", "--explain", "--explain-point", "3"), "320,200, got '3'"),
        (("--input", "a.png", "--explain", "--explain-point=-1,2"), "320,200, got '-1,2'"),
    ],
)
def test_wrong_command_line_stops_before_the_model(main, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr("fgaseg_d2_cli.segment._prepare")
    code, output, errors = main(*arguments)
    assert code == 2
    assert output == ""
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert reason in errors


def test_videos_are_not_explained(main, tmp_path, monkeypatch):
    """Said before the model is built, also of a video among pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr("fgaseg_d2_cli.segment._prepare")
    write_picture(tmp_path / "a.png")
    write_video(tmp_path / "clip.mp4")
    code, output, errors = main("--input", "a.png", "clip.mp4", "--explain", "--output", "new")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "expected only pictures with --explain, got the video 'clip.mp4'" in errors
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--vocab", ""), "got nothing"),
        (("--vocab", "cat,,dog"), "got an empty one"),
        (("--vocab", "cat,cat"), "every name once"),
        (("--vocab", "words.txt"), "got nothing; check the path"),
        (("--vocab", "ade20k_151"), "did you mean 'ade20k_150'"),
        (("--vocab", "cat", "--background", "cat"), "no class"),
        (("--vocab", "cat", "--background-threshold", "2"), "from 0 (off) to 1, got 2.0"),
        (("--config-file", "tinny"), "did you mean 'tiny'"),
        (("--weights", "none.pth"), "weights at 'none.pth'"),
        (("--weights", "a.png"), "in a.png"),
        ((*RANDOM, "MODEL.CLIP.PRETRAINED", "a.png"), "in a.png"),
        (("--device", "gpu"), "got 'gpu'"),
        (("--opts", "MODEL.WEIGHT", "a"), "did you mean MODEL.WEIGHTS"),
        (("--opts", "MODEL.WEIGHTS"), "pairs"),
        (("--opts", "DATASETS.TEST", "()", "MODEL.WEIGHTS", ""), "expected --vocab"),
        (("--explain", "--explain-point", "3,4", *RANDOM), "expected a model with routes"),
    ],
)
def test_wrong_words_and_model(main, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png")
    code, _, errors = main("--input", "a.png", *arguments)
    assert code == 2, errors
    assert last_line(errors).startswith("error: ")
    assert reason in last_line(errors)
    assert not list((tmp_path / "output" / "demo").iterdir())


def test_missing_picture_is_reported_before_slow_imports(tmp_path):
    result = demo("--input", "none.png", cwd=tmp_path, python=["-X", "importtime"])
    assert result.returncode == 2
    assert "got 'none.png'" in last_line(result.stderr)
    assert not SLOW & imported(result.stderr)


def test_missing_requirement_is_one_line(main, tmp_path, monkeypatch):
    def missing(*_):
        raise ImportError("expected Detectron2, got nothing")

    monkeypatch.setattr("fgaseg_d2_cli.segmenting.sources.Source.outputs", missing)
    write_picture(tmp_path / "a.png")
    code, _, errors = main("--input", tmp_path / "a.png", "--output", tmp_path / "new")
    assert (code, errors) == (1, "error: expected Detectron2, got nothing\n")


def test_traceback_on_demand(main, tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png")
    arguments = ("--input", tmp_path / "a.png", "--output", tmp_path / "new", "--vocab", "")
    for wanted in ("1", "0"):
        monkeypatch.setenv("FGASEG_TRACEBACK", wanted)
        code, _, errors = main(*arguments)
        assert code == 2
        assert last_line(errors).startswith("error: ")
        assert ("split_classes" in errors) == (wanted == "1")


@pytest.mark.parametrize("base", [RuntimeError, OSError])
def test_failed_download_goes_on_with_random_weights(main, tmp_path, monkeypatch, base):
    from fgaseg_d2.predict import predictor

    failed = type("PretrainedWeightsError", (base,), {})
    build = predictor.build_model

    def build_model(cfg):
        if cfg.MODEL.CLIP.PRETRAINED:
            raise failed("no\nnetwork")
        return build(cfg)

    monkeypatch.setattr("fgaseg_d2_cli.segmenting.building.PretrainedWeightsError", failed)
    monkeypatch.setattr(predictor, "build_model", build_model)
    monkeypatch.setattr("fgaseg_d2_cli.segmenting.building._names_resolve", lambda: True)
    write_picture(tmp_path / "a.png")
    code, _, errors = main(
        *("--input", tmp_path / "a.png", "--vocab", "cat", "--output", tmp_path / "new", *RANDOM),
        *("MODEL.CLIP.PRETRAINED", "openai"),
    )
    assert code == 0, errors
    assert "warning: no network" in errors
    assert "RANDOM WEIGHTS" in errors


def test_a_model_by_name_is_nothing_without_its_weights(main, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    write_picture(tmp_path / "a.png")
    code, _, errors = main(tmp_path / "a.png", "--model", "maskclip_vitb16", "--vocab", "cat,dog")
    assert code == 2 and last_line(errors).startswith("error: expected to fetch the weights")


def test_a_doubt_is_said_once_where_a_library_has_set_up_logging(monkeypatch, capfd):
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler()])
    # Those that a training in this process has left.
    monkeypatch.setattr(logging.getLogger("fgaseg_d2"), "handlers", [])
    with library_warnings():
        logging.getLogger("fgaseg_d2.predict.cautions").warning("there is one class only")
    assert capfd.readouterr().err == "warning: there is one class only\n"


def test_output_that_cannot_be_written(main, tmp_path):
    write_picture(tmp_path / "a.png")
    (tmp_path / "file").touch()
    code, _, errors = main("--input", tmp_path / "a.png", "--output", tmp_path / "file")
    assert code == 1
    assert errors.startswith("error: expected a folder that can be written for --output")
    assert errors.count("\n") == 1


def test_full_disk_stops_in_one_line(main, tmp_path, monkeypatch):
    from fgaseg_d2.predict import segmentation

    def full(path, image):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(segmentation, "write_image", full)
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / name)
    output = tmp_path / "output"
    code, _, errors = main("--input", tmp_path, "--vocab", "cat", "--output", output, *RANDOM)
    assert code == 1
    assert last_line(errors).startswith("error: expected to write results")
    assert "No space left on device" in last_line(errors)
    assert "Traceback" not in errors


def test_bad_video(main, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    output = tmp_path / "new"
    code, text, errors = main("--input", tmp_path, "--vocab", "cat", "--output", output, *RANDOM)
    assert code == 1
    assert f"got '{tmp_path / 'broken.mp4'}'" in errors
    assert not list(output.iterdir())
    assert last_line(text).startswith("0 of 1 done")


def test_a_video_that_is_cut_short_is_said(main, tmp_path):
    """Its header promises more frames than there are."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for frame in np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), np.uint8):
        writer.write(frame)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    output = tmp_path / "new"
    code, _, errors = main("--input", path, "--vocab", "cat,dog", "--output", output, *RANDOM)
    assert code == 0
    assert f"warning: {path}: expected 12 frames, as its header says, got " in errors
    assert (output / "clip_overlay.mp4").is_file()


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tiff"])
def test_pictures_of_several_frames_are_said(main, tmp_path, ending):
    frames = [Image.new("RGB", (40, 30), (80 * n, 200, 10)) for n in range(3)]
    path = tmp_path / f"several.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    arguments = ("--vocab", "cat,dog", "--output", tmp_path / "new", *RANDOM)
    code, _, errors = main("--input", path, *arguments)
    assert code == 0
    what = "pages" if ending == "tiff" else "frames"
    assert f"warning: {path} has 3 {what}, of which only the first is looked at" in errors


def test_interruption_leaves_no_half_video(main, monkeypatch, tmp_path):
    write_video(tmp_path / "long.mp4", frames=5000)
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "output" / "demo"
    with interrupted_when(lambda: list(output.glob(".partial-*.mp4"))):
        code, _, errors = main("--input", "long.mp4", "--vocab", "cat,dog", *RANDOM)
    assert code == 130
    assert last_line(errors) == "interrupted after 0 of 1"
    assert "Traceback" not in errors
    assert not list(output.iterdir())
