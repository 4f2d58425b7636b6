"""A checkpoint of CAT-Seg's real shape from a server, by the command in the README."""

import json
import shutil

import numpy as np
import pytest
import torch
from parity.golden import drawn_image, drawn_state, read_golden
from PIL import Image

from fgaseg_d2.io.files import write_image
from tests.conftest import GOLDEN, ROOT
from tests.demo_tools import in_process
from tests.servers import serving


@pytest.fixture
def address(tmp_path, monkeypatch):
    """Where model_base.pth is, with drawn weights; downloads go to a cache of the test's own."""
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    shapes = json.loads((GOLDEN / "manifest_catseg_vitb16.json").read_text(encoding="utf-8"))
    (tmp_path / "served").mkdir()
    torch.save(
        {"model": drawn_state(shapes), "iteration": 79999}, tmp_path / "served/model_base.pth"
    )
    with serving(tmp_path / "served") as server:
        yield f"{server}/model_base.pth"
    # pytest keeps the folders of the last runs; these hold 600 MB each.
    for folder in ("served", "cache"):
        shutil.rmtree(tmp_path / folder)


@pytest.mark.slow
def test_the_readmes_command_computes_what_cat_seg_does(tmp_path, monkeypatch, capfd, address):
    golden = read_golden(GOLDEN / "catseg_vitb16_t5_sliding.npz")
    image = drawn_image(*golden.image_size).permute(1, 2, 0).to(torch.uint8).numpy()
    write_image(tmp_path / "photo.png", image)
    code, out, err = in_process(monkeypatch, capfd)(
        *("--input", tmp_path / "photo.png", "--output", tmp_path / "out"),
        *("--vocab", ",".join(golden.names), "--config-file", "vitb16_384", "--weights", address),
        *("--device", "cpu", "--opts", "TEST.SLIDING_WINDOW.ENABLED", "True"),
        # As large as it is, so that the result can be compared.
        *("INPUT.MIN_SIZE_TEST", min(golden.image_size)),
    )
    assert code == 0, err
    assert address in out and "CAT-Seg format" in out
    with Image.open(next((tmp_path / "out").glob("*_labels.png"))) as opened:
        labels = np.asarray(opened)
    assert (labels == golden.arrays["sem_seg_argmax"]).mean() >= 0.999
    assert address.rpartition("/")[2] in (ROOT / "README.md").read_text(encoding="utf-8")
