"""The page in the browser: what it answers, in this process and through a server."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from fgaseg_d2.config.models import MODELS
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from fgaseg_d2_cli import __main__ as console
from fgaseg_d2_cli.segmenting.page import Page, build_app
from tests.conftest import ROOT
from tests.demo_tools import environment
from tests.processes import PATIENCE

VILLAGE = ROOT / "demo" / "scenes" / "village.jpg"
CHELSEA = Path(skimage.__file__).parent / "data" / "chelsea.png"
WORDS = "house,tree,flower,balloon,sky|cloud,hill|meadow"


@pytest.fixture(scope="module")
def page():
    page = Page("tiny", device="cpu")
    yield page
    page.close()


def test_shares_overlay_and_files_are_those_of_the_predictor(page):
    answer = page.segment(str(VILLAGE), WORDS, "tiny")
    labels = OpenVocabPredictor("tiny", device="cpu")(VILLAGE, WORDS).labels
    names = ["house", "tree", "flower", "balloon", "sky", "hill"]
    expected = {name: 100 * np.mean(labels == k) for k, name in enumerate(names)}
    assert dict(answer.shares) == pytest.approx(expected, abs=1e-3)
    shares = [share for _, share in answer.shares]
    assert shares == sorted(shares, reverse=True)
    assert answer.overlay.dtype == np.uint8 and answer.overlay.shape[0] >= labels.shape[0]
    files = {Path(file).name: file for file in answer.files}
    with Image.open(files["village.png"]) as indexed:
        assert indexed.mode == "P" and (np.asarray(indexed) == labels).all()
    (coco,) = (file for name, file in files.items() if name.endswith(".json"))
    found = json.loads(Path(coco).read_text())
    assert {one["name"] for one in found["categories"]} == set(names)
    assert sum(one["area"] for one in found["annotations"]) == labels.size


def test_what_makes_a_result_doubtful_comes_first_and_every_time(page):
    for _ in range(2):
        answer = page.segment(str(CHELSEA), "sofa,couch", "tiny")
        photograph, pair = answer.cautions.splitlines()[:2]
        assert photograph.startswith("caution: chelsea.png looks like a photograph")
        assert "'sofa' and 'couch' may mean the same" in pair
    answer = page.segment(str(VILLAGE), f"{WORDS},moon,umbrella,snow,desert", "tiny")
    *cautions, weights = answer.cautions.splitlines()
    absent = [name for name, share in answer.shares if share == 0]
    assert absent and "photograph" not in answer.cautions
    assert cautions == [f"caution: nowhere in the picture: {', '.join(absent)}"]
    assert weights.startswith("weights: ")


def test_only_the_last_model_and_the_last_files_are_kept(page):
    first, tiny = page.segment(str(VILLAGE), "sky,tree", "tiny"), page.predictor("tiny")
    other = page.segment(str(VILLAGE), "sky,tree", "mgca_tiny")
    assert not any(Path(file).exists() for file in first.files)
    assert all(Path(file).exists() for file in other.files)
    assert page.predictor("mgca_tiny") is page.predictor("mgca_tiny")
    assert page.predictor("tiny") is not tiny


def test_more_classes_than_an_indexed_picture_holds(page):
    words = ",".join(f"word{number}" for number in range(257))
    answer = page.segment(str(VILLAGE), words, "tiny")
    assert len(answer.shares) == 257 and {Path(file).suffix for file in answer.files} == {".json"}


def test_words_are_never_a_file_of_the_server(page, tmp_path):
    (tmp_path / "secret.txt").write_text("password\nsky\n")
    answer = page.segment(str(VILLAGE), f"{tmp_path / 'secret.txt'},sky", "tiny")
    assert {name for name, _ in answer.shares} == {str(tmp_path / "secret.txt"), "sky"}


@pytest.mark.parametrize(
    ("picture", "words", "message"),
    [
        (None, "cat", "expected a picture, got none"),
        (str(VILLAGE), " ", "expected words such as 'cat,dog', got nothing"),
        (str(VILLAGE), "cat,cat", "'cat'"),
        (str(ROOT / "README.md"), "cat", "README.md"),
    ],
)
def test_what_cannot_be_answered_is_said(page, picture, words, message):
    with pytest.raises(ValueError, match=message):
        page.segment(picture, words, "tiny")


def test_without_gradio_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert console.main(["page"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'fgaseg_d2[page]'" in error


def test_a_wrong_model_is_a_wrong_command_line(capsys):
    pytest.importorskip("gradio")
    assert console.main(["page", "--model", "tinny"]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(capsys):
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert console.main(["page", "--device", "cpu", "--port", port]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"free port, got 127.0.0.1:{port}; choose" in error


def test_the_program_of_a_checkout_is_the_command(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo" / "web.py"), "--port", "0"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2 and "--port: expected a whole number of 1 .. 65535" in done.stderr


def test_a_server_answers_and_goes_on_after_errors(page):
    pytest.importorskip("gradio")
    client_library = pytest.importorskip("gradio_client")
    app = build_app(page)
    try:
        _, url, _ = app.launch(
            server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False
        )
        client = client_library.Client(url, verbose=False)

        def ask(words, model="tiny"):
            picture = client_library.handle_file(str(CHELSEA))
            return client.predict(picture, words, model, api_name="/segment")

        with pytest.raises(Exception, match="^expected words such as 'cat,dog', got nothing"):
            ask("")
        with pytest.raises(Exception, match="<b>x&lt;|&lt;b&gt;"):
            ask("<b>,<b>")
        cautions, overlay, table, files = ask("sky,tree")
        assert cautions.startswith("caution: chelsea.png looks like a photograph")
        assert Path(overlay).suffix == ".png" and len(table["data"]) == 2
        assert {Path(file).name for file in files} >= {"chelsea.png"}
        (menu,) = (one for one in app.blocks.values() if type(one).__name__ == "Dropdown")
        assert [name for _, name in menu.choices] == list(MODELS)
        assert all(one.concurrency_limit == 1 for one in app.fns.values())
    finally:
        app.close(verbose=False)
