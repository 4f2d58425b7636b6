"""Checkpoints from web addresses: where they are kept, and what servers and connections do."""

import logging
import os
import resource
from email.utils import formatdate
from pathlib import Path

import pytest

from fgaseg_d2.checkpoint import transfers
from fgaseg_d2.checkpoint.downloads import fetch_checkpoint
from fgaseg_d2.checkpoint.files import locate_checkpoint, read_checkpoint
from tests.servers import server_of

DATA = os.urandom(300_000)
# Short, for servers that send nothing; how fast the others are does not matter.
STALL = 0.3


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def web(tmp_path, cache):
    """A server, its address, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    with server_of(folder) as server:
        yield server, f"http://127.0.0.1:{server.server_port}", folder


def everything_under(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../../victim.pth",
        "/..%2f..%2f..%2f..%2fvictim.pth",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/victim.pth",
        "/..\\..\\..\\..\\..\\victim.pth",
        "/a/%5c..%5c..%5cvictim.pth",
        "/..%252f..%252fvictim.pth",
        "//victim.pth",
        "/victim.pth%00",
        "/victim.pth/..",
        "/",
        "",
        "/%",
        "/.lock",
        f"/{'x' * 3000}.pth",
        "/caf\u00e9 model.pth",
        "/x.pth?a=../../../victim.pth#../../victim.pth",
    ],
)
def test_no_address_leaves_the_cache(web, cache, tmp_path, path, monkeypatch):
    """Neither what it writes, nor what it takes for a file that it wrote."""
    _, address, folder = web
    monkeypatch.chdir(folder)
    monkeypatch.setattr("tests.servers._Handler.translate_path", lambda *_: str(tmp_path / "sent"))
    (tmp_path / "sent").write_bytes(b"hello")
    (tmp_path / "victim.pth").write_bytes(b"precious")
    before = everything_under(tmp_path)
    for _ in range(2):
        with pytest.raises(ValueError, match="expected a checkpoint of tensors") as caught:
            read_checkpoint(f"{address}{path}")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    after = everything_under(tmp_path)
    assert before.items() <= after.items()
    new = after.keys() - before.keys()
    assert new and all(p.parent == cache / "fgaseg_d2" / "downloads" for p in new)
    # What came is kept aside, and no other name is left that would be taken for a checkpoint.
    assert ".damaged" in {p.suffix for p in new} <= {".damaged", ".lock"}


def test_two_files_of_one_name_do_not_meet(web):
    _, address, folder = web
    for part in ("a", "b"):
        (folder / part).mkdir()
        (folder / part / "model.pth").write_bytes(part.encode())
    urls = [f"{address}/a/model.pth", f"{address}/b/model.pth", f"{address}/a/model.pth?id=2"]
    paths = [fetch_checkpoint(url) for url in urls]
    assert len(set(paths)) == 3 and all(path.endswith("-model.pth") for path in paths)
    assert [Path(path).read_bytes() for path in paths] == [b"a", b"b", b"a"]
    for same in ("?download=true", "?dl=1", "#part"):
        assert fetch_checkpoint(f"{urls[0]}{same}") == paths[0]


def test_links_in_the_cache_are_not_written_through(web, cache, tmp_path):
    _, address, folder = web
    (folder / "model.pth").write_bytes(DATA)
    url = f"{address}/model.pth"
    place = Path(fetch_checkpoint(url))
    place.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    for ending in (".part", ".json"):
        link = place.with_name(place.name + ending)
        link.unlink(missing_ok=True)
        link.symlink_to(victim)
        with pytest.raises(OSError, match="cannot write .*cache folder"):
            fetch_checkpoint(url)
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "file:// is not fetched"),
        ("s3://bucket/model.pth", "s3:// is not fetched"),
        ("hf://user/repository", "expected the address of a file"),
        ("hf://user/repository/../model.pth", "expected an address such as hf://owner/name"),
        ("gs://bucket/model.pth", "gs:// is not fetched"),
        ("ftp://server/model.pth", "ftp:// is not fetched"),
        ("detectron2://ImageNetPretrained/MSRA/R-50.pkl", "detectron2:// is not fetched"),
        ("FILE:///etc/passwd", "FILE:// is not fetched"),
        (f"{'x' * 5000}://a", "is not fetched"),
        ("http://", "expected an address such as"),
        ("http:///model.pth", "expected an address such as"),
        ("https://[::1/model.pth", "expected an address such as"),
        ("http://server:port/model.pth", "expected an address such as"),
        ("http://server:99999/model.pth", "expected an address such as"),
        (f"http://{'a' * 70}.org/model.pth", "expected an address such as"),
        ("http://me:secret@server/model.pth", "without a user's name"),
        ("fgaseg_d2://../../setup.py", "weights that come with fgaseg_d2"),
        ("fgaseg_d2:///etc/passwd", "weights that come with fgaseg_d2"),
        ("fgaseg_d2://", "weights that come with fgaseg_d2"),
    ],
)
def test_addresses_of_other_kinds_are_one_line(cache, url, message):
    with pytest.raises((ValueError, OSError), match=message) as caught:
        locate_checkpoint(url)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and "secret" not in text
    assert not cache.exists() or not everything_under(cache)


@pytest.mark.parametrize("name", ["stall", "trickle", "silent", "head"])
def test_a_server_that_stalls_is_given_up(web, name):
    _, address, folder = web
    (folder / name).write_bytes(DATA)
    with pytest.raises(OSError, match="next to nothing for 0.3 seconds") as caught:
        fetch_checkpoint(f"{address}/{name}", STALL)
    assert "\n" not in str(caught.value)


def test_an_answer_without_end_is_given_up(web, monkeypatch):
    _, address, _ = web
    monkeypatch.setattr(transfers, "LARGEST_DOWNLOAD", 2**20)
    with pytest.raises(OSError, match="above the bound of 1,048,576"):
        fetch_checkpoint(f"{address}/endless")


def test_a_file_above_the_bound_is_not_begun(web, cache, monkeypatch):
    _, address, folder = web
    (folder / "large").write_bytes(DATA)
    monkeypatch.setattr(transfers, "LARGEST_DOWNLOAD", 1000)
    with pytest.raises(OSError, match="it has 300,000 bytes and more"):
        fetch_checkpoint(f"{address}/large")
    assert not any(everything_under(cache).values())


def test_a_file_that_breaks_off_goes_on_where_it_was(web):
    server, address, folder = web
    (folder / "once.pth").write_bytes(DATA)
    path = fetch_checkpoint(f"{address}/once.pth")
    assert Path(path).read_bytes() == DATA
    assert server.ranges == ["", "bytes=150000-"]
    # Nothing of the way there is left.
    names = {p.name for p in Path(path).parent.iterdir()}
    assert names - {f"{Path(path).name}.lock"} == {Path(path).name}


def test_the_next_run_goes_on_where_a_stalled_one_was(web):
    server, address, folder = web
    (folder / "once.pth").write_bytes(DATA)
    url = f"{address}/once.pth"
    # What an interruption leaves: a part, and by what the server knows the whole.
    place = Path(fetch_checkpoint(url))
    part, note = (place.with_name(f"{place.name}.{ending}") for ending in ("part", "json"))
    place.unlink()
    part.write_bytes(DATA[:1000])
    stamp = int((folder / "once.pth").stat().st_mtime)
    note.write_text(f'"{formatdate(stamp, usegmt=True)}"')
    server.ranges.clear()
    assert Path(fetch_checkpoint(url)).read_bytes() == DATA
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize("note", ['"Thu, 01 Jan 1970 00:00:00 GMT"', "", "no JSON", '"\\r\\nX: y"'])
def test_a_part_of_another_file_is_not_continued(web, note):
    _, address, folder = web
    (folder / "once.pth").write_bytes(DATA)
    url = f"{address}/once.pth"
    place = Path(fetch_checkpoint(url))
    place.unlink()
    place.with_name(f"{place.name}.part").write_bytes(bytes(1000))
    place.with_name(f"{place.name}.json").write_text(note)
    assert Path(fetch_checkpoint(url)).read_bytes() == DATA


def test_a_server_that_sends_another_part_is_not_believed(web):
    _, address, folder = web
    (folder / "other.pth").write_bytes(DATA)
    with pytest.raises(OSError, match="another part than asked for"):
        fetch_checkpoint(f"{address}/other.pth")


@pytest.mark.parametrize("name", ["cut.pth", "empty.pth", "missing.pth"])
def test_less_than_a_whole_file_is_none(web, name):
    _, address, folder = web
    if name != "missing.pth":
        (folder / name).write_bytes(DATA if name == "cut.pth" else b"")
    for _ in range(2):
        with pytest.raises(OSError, match="could not be fetched: .*(ended after|404)"):
            fetch_checkpoint(f"{address}/{name}")


def test_redirections_are_followed_to_web_addresses_only(web):
    _, address, folder = web
    (folder / "model.pth").write_bytes(DATA)
    path = fetch_checkpoint(f"{address}/gone//model.pth")
    assert Path(path).read_bytes() == DATA
    for elsewhere in ("file:///etc/passwd", "ftp://127.0.0.1/x", "s3://bucket/x", "javascript:x"):
        with pytest.raises(OSError, match="could not be fetched") as caught:
            fetch_checkpoint(f"{address}/gone/{elsewhere}")
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(OSError, match="could not be fetched") as caught:
        fetch_checkpoint(f"{address}/gone/")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_not_the_networks_fault(web):
    _, address, folder = web
    (folder / "model.pth").write_bytes(DATA)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match="cannot write .*downloads: File too large; make room"):
            fetch_checkpoint(f"{address}/model.pth")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert Path(fetch_checkpoint(f"{address}/model.pth")).read_bytes() == DATA


def test_a_file_in_place_of_the_folder_is_one_line(web, cache):
    _, address, _ = web
    cache.mkdir()
    (cache / "fgaseg_d2").write_bytes(b"precious")
    with pytest.raises(OSError, match="cannot write .*cache folder"):
        fetch_checkpoint(f"{address}/model.pth")
    assert (cache / "fgaseg_d2").read_bytes() == b"precious"


def test_a_bar_is_drawn_on_a_terminal_only(web, monkeypatch, capsys):
    _, address, folder = web
    # A test before may have left one that writes to what was standard error then.
    for name in ("", "fgaseg_d2"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])
    for name in ("one", "two"):
        (folder / name).write_bytes(DATA)
    fetch_checkpoint(f"{address}/one")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    fetch_checkpoint(f"{address}/two")
    assert "293k/293k" in capsys.readouterr().err
