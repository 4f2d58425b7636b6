"""What is found in paths, folders and globs, and videos read and written."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fgaseg_d2_cli.segmenting import sources, videos


def find_sources(patterns, output):
    return sources.name_sources(sources.find_files(patterns), output)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Some files, of which the names count only."""
    for name in ("a/x.png", "a/X.jpg", "b/x.png", "b/y [1].JPG", "b/clip.mp4", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stems(sources):
    return {str(source.path): source.stem for source in sources}


def test_folders_globs_and_paths(tree):
    found = stems(find_sources(["a", "b/*.png", "b/y [1].JPG", "b/notes.txt"], Path("out")))
    assert list(found) == ["a/X.jpg", "a/x.png", "b/x.png", "b/y [1].JPG", "b/notes.txt"]


def test_equal_names_get_numbers_capitals_aside(tree):
    found = stems(find_sources(["a", "b"], Path("out")))
    assert found["a/X.jpg"] == "X"
    assert found["a/x.png"] == "x_2"
    assert found["b/x.png"] == "x_3"
    assert len({stem.casefold() for stem in found.values()}) == len(found)


def test_each_file_once(tree):
    patterns = ["b/x.png", "b/*.png", str(tree / "b" / "x.png"), "a/../b/x.png"]
    assert list(stems(find_sources(patterns, Path("out")))) == ["b/x.png"]


def test_globs_reach_into_folders(tree):
    found = stems(find_sources(["**/*.png"], Path("out")))
    assert list(found) == ["a/x.png", "b/x.png"]


def test_results_never_have_the_path_of_a_source(tree):
    for name in ("p.png", "p_labels.png", "q.jpg", "q_overlay.jpg"):
        (tree / "a" / name).touch()
    sources = find_sources(["a"], tree / "a")
    originals = {Path(source.path).resolve() for source in sources}
    results = [path for source in sources for path in source.outputs(tree / "a").values()]
    assert len(set(results)) == len(results)
    assert not originals & {path.resolve() for path in results}
    assert stems(sources)["a/p.png"] == "p_2"


@pytest.mark.parametrize("pattern", ["none.png", "*.none", "c", "https://example.org/a.png"])
def test_nothing_there(tree, pattern):
    (tree / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="expected a .*got"):
        find_sources(["a", pattern], Path("out"))


def test_kinds():
    assert sources.Source(Path("a.MOV"), "a").is_video
    assert sources.Source(0, "webcam0").is_camera
    assert not sources.Source(Path("a.png"), "a").is_video
    assert sources.Source(Path("a.JPEG"), "a").overlay_suffix == ".jpg"
    assert sources.Source(Path("a.bmp"), "a").overlay_suffix == ".png"


def test_video_round_trip(tmp_path):
    writer = videos.VideoWriter(tmp_path / "v.mp4", 12.5)
    for number in range(7):
        writer.write(np.full((48, 64, 3), (200, 20 * number, 0), np.uint8))
    writer.close()
    reader = videos.VideoReader(sources.Source(tmp_path / "v.mp4", "v"))
    assert (reader.length, reader.fps) == (7, 12.5)
    batches = list(reader.batches(3))
    reader.close()
    assert [len(batch) for batch in batches] == [3, 3, 1]
    frames = np.stack([frame.mean((0, 1)) for batch in batches for frame in batch])
    assert np.abs(frames[:, 0] - 200).max() < 8  # red came back as red
    assert np.abs(frames[:, 1] - 20 * np.arange(7)).max() < 8
    reader = videos.VideoReader(sources.Source(tmp_path / "v.mp4", "v"))
    assert [len(batch) for batch in reader.batches(3, limit=4)] == [3, 1]


def test_lost_frames_are_noticed(tmp_path):
    writer = videos.VideoWriter(tmp_path / "v.mp4", 5)
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.frames = 9
    with pytest.raises(OSError, match="expected to write 9 frames into .*, got 1"):
        writer.close()


def box(kind, *content):
    """A box of an MP4 file."""
    content = b"".join(content)
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def mp4(*handlers):
    """An MP4 file with tracks of these kinds, and nothing in them."""
    tracks = [
        box(b"trak", box(b"mdia", box(b"hdlr", bytes(8), handler, bytes(13))))
        for handler in handlers
    ]
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", *tracks)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"no video at all", "damaged, cut short or in a format that OpenCV lacks"),
        (mp4(b"vide", b"soun"), "damaged, cut short"),
        (mp4(b"soun"), "sound without pictures; give a video"),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "sound without pictures"),
        (b"\x1aE\xdf\xa3" + bytes(30) + b"A_OPUS" + bytes(99), "sound without pictures"),
        (b"OggS" + bytes(24) + b"OpusHead" + bytes(99), "sound without pictures"),
    ],
)
def test_bad_videos(tmp_path, content, reason):
    for name in ("a.mkv", "a.mp4"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="a video that OpenCV can open") as caught:
            videos.VideoReader(sources.Source(tmp_path / name, "a"))
        assert reason in str(caught.value)


def test_frames_that_are_missing_are_counted(tmp_path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    noise = np.random.default_rng(0).integers(0, 255, (20, 48, 64, 3), np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()

    def read():
        reader = videos.VideoReader(sources.Source(path, "v"))
        count = sum(len(batch) for batch in reader.batches(3))
        reader.close()
        return count, reader.missing

    assert read() == (20, 0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    count, missing = read()
    assert 0 < count < 20 and count + missing == 20


def test_no_camera():
    with pytest.raises(ValueError, match="a camera that OpenCV can open, got '77'"):
        videos.VideoReader(sources.Source(77, "webcam77"))
