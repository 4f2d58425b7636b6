"""Models as folders: written by `fgaseg-d2 export`, loaded from a disk and from a hub."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from fgaseg_d2 import OpenVocabPredictor
from fgaseg_d2.checkpoint.hub import fetch_hub_file
from fgaseg_d2.config.finding import find_model
from fgaseg_d2.config.loading import load_config
from fgaseg_d2_cli import __main__ as console
from tests.conftest import ROOT, build_small
from tests.demo_tools import write_picture
from tests.hubs import hub_of

PICTURE = np.random.default_rng(3).integers(0, 255, (60, 80, 3), np.uint8)
WORDS = [["cat", "kitten"], ["dog"], ["the floor, of wood"]]
OPTS = ["MODEL.WORDS.VOCABULARY", "words.json", "MODEL.WORDS.PROMPT_TEMPLATES", "sentences.txt"]
OPTS += ["DATASETS.SEGMENTS", "[{'name': 'own', 'images': '.', 'file': 'own.jsonl'}]"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model with a CLIP, words and prompt templates of its own, and where its files are."""
    folder = tmp_path_factory.mktemp("trained")
    text = (ROOT / "tests" / "data" / "small.yaml").read_text()
    base = "_BASE_: ../../configs/fgaseg/tiny.yaml"
    text = text.replace(base, f"_BASE_: {ROOT}/configs/fgaseg/tiny.yaml")
    text = text.replace("tests/data/clip", str(ROOT / "tests/data/clip"))
    (folder / "model.yaml").write_text(text.replace('WEIGHTS: ""', "WEIGHTS: model.pth"))
    (folder / "words.json").write_text(json.dumps(WORDS))
    (folder / "sentences.txt").write_text("a drawing of a {}\na {}\n")
    torch.save({"model": build_small(seed=4).state_dict()}, folder / "model.pth")
    return folder


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The folder that the command wrote, and the labels that the model gives to a picture."""
    folder = tmp_path_factory.mktemp("exported") / "owner" / "small model"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        labels = OpenVocabPredictor("model.yaml", opts=OPTS)(PICTURE).labels
        assert console.main(["export", "model.yaml", str(folder), "--opts", *OPTS]) == 0
    return folder, labels


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in, and empty caches."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


@pytest.fixture
def hub(elsewhere, monkeypatch):
    with hub_of(elsewhere / "hub") as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server


def test_a_folder_is_the_model_anywhere(exported, elsewhere):
    folder, labels = exported
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("config.yaml", "model.safetensors", "README.md"),
        *("Small-ViT-8.json", "words.json", "sentences.txt"),
    }
    moved = shutil.copytree(folder, elsewhere / "moved")
    predictor = OpenVocabPredictor(moved)
    assert predictor.default_vocabulary.classes == tuple(map(tuple, WORDS))
    assert (predictor(PICTURE).labels == labels).all() and len(np.unique(labels)) > 1


def test_a_folder_says_nothing_of_the_machine_that_wrote_it(exported, trained):
    folder, _ = exported
    text = (folder / "config.yaml").read_text()
    assert str(trained) not in text and str(ROOT) not in text
    content = yaml.safe_load(text)
    assert "_BASE_" not in content and "DATASETS" not in content and "OUTPUT_DIR" not in content
    assert content["MODEL"]["WEIGHTS"] == "model.safetensors" and "DEVICE" not in content["MODEL"]
    card = (folder / "README.md").read_text()
    assert "FGASeg on Small-ViT-8" in card and "hf://OWNER/NAME" in card


def test_half_precision_is_half_the_size(exported, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    assert console.main(["export", "model.yaml", str(tmp_path / "half"), "--half"]) == 0
    sizes = [(f / "model.safetensors").stat().st_size for f in (exported[0], tmp_path / "half")]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.1)


def test_a_hub_gives_the_same_model_to_the_command_line(exported, elsewhere, hub, capsys):
    folder, labels = exported
    shutil.copytree(folder, elsewhere / "hub" / "owner" / "name")
    write_picture(elsewhere / "work" / "a.png", (80, 60))
    assert console.main(["segment", "a.png", "--model", "hf://owner/name", "--output", "out"]) == 0
    assert "looking for 3 classes, the own words of hf://owner/name: cat, dog" in (
        capsys.readouterr().out
    )
    predictor = OpenVocabPredictor("hf://owner/name")
    assert (predictor(PICTURE).labels == labels).all()
    assert predictor.cfg.MODEL.WEIGHTS == "hf://owner/name/model.safetensors"
    whole = [path for method, path, _ in hub.asked if method == "GET"]
    assert len(whole) == len(set(whole)) == 5
    # The cache answers where the hub does not.
    hub.folder = elsewhere / "gone"
    shutil.rmtree(elsewhere / "hub")
    with pytest.MonkeyPatch.context() as patch:
        from huggingface_hub import constants

        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert load_config("hf://owner/name").MODEL.WORDS.VOCABULARY.endswith("words.json")


def test_an_interrupted_transfer_goes_on_where_it_was(elsewhere, hub):
    repository = elsewhere / "hub" / "owner" / "name"
    repository.mkdir(parents=True)
    # The library keeps what has come in pieces of ten MiB.
    data = bytes(range(256)) * (21 * 2**12)
    (repository / "model.safetensors").write_bytes(data)
    hub.cut = {"model.safetensors"}
    path = fetch_hub_file("hf://owner/name/model.safetensors")
    assert Path(path).read_bytes() == data
    ranges = [span for method, _, span in hub.asked if method == "GET"]
    assert ranges == ["", f"bytes={10 * 2**20}-"]


def test_a_file_with_another_sum_than_the_hub_says_is_refused(elsewhere, hub):
    repository = elsewhere / "hub" / "owner" / "name"
    repository.mkdir(parents=True)
    (repository / "model.safetensors").write_bytes(bytes(1000))
    hub.false_sum = {"model.safetensors"}
    for _ in range(2):
        with pytest.raises(OSError, match="could not be fetched: another SHA-256 than the hub"):
            fetch_hub_file("hf://owner/name/model.safetensors")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://owner/other", "expected a repository at hf://owner/other.* got none"),
        ("hf://owner/empty", r"expected config\.yaml in the repository owner/empty, got none"),
        ("hf://owner", "expected an address such as hf://owner/name"),
        ("hf://owner/name/other.yaml", "expected a repository, hf://owner/name, got .*; leave out"),
        ("hf://owner/../name", "expected an address such as hf://owner/name"),
        ("hf://", "expected an address such as hf://owner/name"),
        ("hf://owner/name@../x", "expected an address such as hf://owner/name"),
        ("hf://owner/based", "expected a configuration without _BASE_, as it comes from elsewhere"),
    ],
)
def test_what_a_hub_has_not_is_one_line(elsewhere, hub, address, message):
    for name, text in (("empty/x", ""), ("based/config.yaml", "_BASE_: /etc/hostname\n")):
        file = elsewhere / "hub" / "owner" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    with pytest.raises((OSError, ValueError), match=message) as caught:
        load_config(address)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_hub_that_cannot_be_reached_is_one_line(elsewhere, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match=r"could not be fetched: .*; check the network and HF_END"):
        find_model("hf://owner/name")


def test_a_folder_of_a_training_run(trained, elsewhere):
    """What training leaves: config.yaml with the weights that it began with, and the result."""
    run = elsewhere / "run"
    run.mkdir()
    cfg = load_config(trained / "model.yaml", weights="")
    (run / "config.yaml").write_text(cfg.dump())
    assert load_config(run).MODEL.WEIGHTS == ""
    shutil.copy(trained / "model.pth", run / "model_final.pth")
    assert Path(load_config(run).MODEL.WEIGHTS) == run / "model_final.pth"
    # The file by itself says what it says.
    assert load_config(run / "config.yaml").MODEL.WEIGHTS == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{trained}/model.yaml", "{full}"], "expected a new or an empty folder"),
        (["tests/data/small.yaml", "new"], "expected a model with trained weights"),
        (["tinny", "new"], "did you mean 'tiny'"),
    ],
)
def test_what_cannot_be_exported(arguments, message, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    words = [word.format(trained=trained, full=tmp_path / "full") for word in arguments]
    words = [str(tmp_path / "new") if word == "new" else word for word in words]
    assert console.main(["export", *words]) == 1
    assert message in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["precious"]
