"""Models by name: the table, the command that lists it, and sums of what is fetched."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from fgaseg_d2.checkpoint.downloads import cache_path, fetch_checkpoint
from fgaseg_d2.checkpoint.files import locate_checkpoint
from fgaseg_d2.config.loading import load_config
from fgaseg_d2.config.models import MODELS, known_model
from fgaseg_d2.data.datasets.benchmarks import BENCHMARKS
from fgaseg_d2.engine.run_description import describe_run
from fgaseg_d2.evaluation import without_masks
from fgaseg_d2.evaluation.published import ROWS
from fgaseg_d2.modeling.inference.protocols import Slide, make_protocol
from fgaseg_d2.predict.kept_weights import kept_weights
from fgaseg_d2_cli import __main__ as console
from tests.servers import server_of

CATSEG = {"catseg_vitb16": "ViT-B/16", "catseg_vitl14": "ViT-L/14"}
READINGS = [name for name in MODELS if name.endswith("clip_vitb16")]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Empty caches of this package's downloads and of hubs."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize("name", MODELS)
def test_a_name_is_a_configuration_with_weights(name):
    cfg, model = load_config(name, device="cpu"), known_model(name)
    assert cfg.MODEL.WEIGHTS or cfg.MODEL.CLIP.PRETRAINED
    assert model.license and model.figures and all(0 < v < 100 for v in model.figures.values())
    in_package = cfg.MODEL.WEIGHTS.startswith("fgaseg_d2://")
    assert in_package == (model.megabytes == 0)
    if in_package:
        assert Path(locate_checkpoint(cfg.MODEL.WEIGHTS)).is_file()


@pytest.mark.parametrize("name", CATSEG)
def test_cat_seg_is_looked_at_and_quoted_as_published(name):
    cfg = load_config(name, device="cpu")
    run = describe_run(cfg)
    assert run["deviations"] == []
    (row,) = (row for row in ROWS if row.method.startswith("CAT-Seg") and row.clip == CATSEG[name])
    assert known_model(name).figures == row.miou
    assert cfg.MODEL.CLIP.NAME.startswith(row.clip.replace("/", "-"))
    assert cfg.MODEL.WEIGHTS.startswith("https://") and len(cfg.DATASETS.TEST) == len(row.miou)
    assert len(cfg.MODEL.WEIGHTS.partition("#sha256=")[2]) == 64


@pytest.mark.parametrize("name", READINGS)
def test_readings_are_quoted_as_in_the_table_of_eight_sets(name):
    model = known_model(name)
    (row,) = (row for row in without_masks.ROWS if row.method.split(",")[0] == model.method)
    sets = ("pascal_voc_20", "pascal_context_59", "coco_stuff", "ade20k_150")
    assert list(model.figures.values()) == [row.miou[one] for one in sets]
    assert set(model.figures) == {BENCHMARKS[one].column or "COCO-Stuff" for one in sets}
    assert model.source.startswith(row.method.partition(", ")[2])


@pytest.mark.parametrize("name", READINGS)
def test_readings_look_through_windows_at_pictures_that_keep_their_shape(name):
    cfg = load_config(name, device="cpu")
    window = cfg.TEST.SLIDING_WINDOW
    assert name.startswith(cfg.MODEL.CLIP.DENSE_READING)
    protocol = make_protocol(
        *(cfg.MODEL.CLIP.IMAGE_SIZE, 16, (window.CANVAS, window.SIZE, window.STRIDE)),
        (window.SHORT_SIDE, window.LONG_SIDE),
    )
    assert isinstance(protocol, Slide)
    views = protocol.for_picture((400, 600))
    short, side = (448, 448) if name.startswith("clear") else (336, 224)
    assert views.canvas == (short, short * 3 // 2)
    # Half a window from one to the next, none over the edge.
    down, right = zip(*views.corners())
    assert (max(down), max(right)) == (short - side, short * 3 // 2 - side)
    assert sorted(set(down))[1:2] == ([112] if side == 224 else [])


def listed(capsys, *arguments):
    assert console.main(["models", *arguments]) == 0
    return capsys.readouterr().out


def test_the_list_says_all_of_every_model(cache, capsys):
    text = listed(capsys)
    for name, model in MODELS.items():
        part = f"\n{text}".partition(f"\n{name}\n")[2][:600]
        assert model.method in part and model.license in part and model.source in part
    fetched = [model for model in MODELS.values() if model.megabytes]
    assert text.count("not here, fetched on use") == len(fetched)
    assert "in the package" in text and "A-847 12.0, PC-459 19.0, A-150 31.8" in text
    assert text.count("protocol: ") == len(MODELS)


def test_weights_that_are_here_are_said_to_be(cache, capsys):
    cfg = load_config("catseg_vitb16", device="cpu")
    path = cache_path(cfg.MODEL.WEIGHTS)
    assert path.is_relative_to(cache / "cache") and kept_weights(cfg) == ""
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(3_000_000))
    (facts,) = json.loads(listed(capsys, "catseg_vitb16", "--json"))
    assert (facts["here"], facts["megabytes"]) == (str(path), 3)
    assert facts["miou"]["PAS-20b"] == 77.3 and "640 x 640" in facts["protocol"]
    # As huggingface_hub keeps files, where open_clip looks for CLIP's.
    folder = cache / "hub" / "models--timm--vit_base_patch16_clip_224.openai"
    file = folder / "snapshots" / "abc" / "open_clip_model.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    facts = json.loads(listed(capsys, "tiny", "maskclip_vitb16", "catseg_vitl14", "--json"))
    assert [bool(one["here"]) for one in facts] == [True, True, False]
    assert facts[1]["here"] == str(file) and facts[0]["in_package"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["catseg_vit16"], "expected the name of a model, got 'catseg_vit16'; did you mean"),
        (["vitb16_384"], "the names are tiny, "),
        (["--fetch"], "expected the names of models with --fetch"),
    ],
)
def test_other_names_are_one_line(arguments, message, capsys):
    assert console.main(["models", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


DATA = random.Random(0).randbytes(50_000)
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def web(cache):
    """A server with a file, and the file's address."""
    folder = cache / "served"
    folder.mkdir()
    (folder / "model.pth").write_bytes(DATA)
    with server_of(folder) as server:
        yield server, f"http://127.0.0.1:{server.server_port}/model.pth"


def test_a_file_with_the_sum_that_its_address_names(web):
    server, address = web
    path = fetch_checkpoint(f"{address}#sha256={SUM}")
    assert Path(path).read_bytes() == DATA and path == fetch_checkpoint(address)
    assert fetch_checkpoint(f"{address}#sha256={SUM.upper()}") == path
    assert len(server.ranges) == 1


def test_another_file_than_the_sum_says_is_refused_and_fetched_anew(web):
    server, address = web
    for _ in range(2):
        with pytest.raises(OSError, match=f"SHA-256 000000000000... at {address}, got {SUM[:12]}"):
            fetch_checkpoint(f"{address}#sha256={'0' * 64}")
    assert len(server.ranges) == 2
    # A good file that is changed where it lies.
    path = Path(fetch_checkpoint(f"{address}#sha256={SUM}"))
    path.write_bytes(b"changed")
    with pytest.raises(OSError, match="SHA-256"):
        fetch_checkpoint(f"{address}#sha256={SUM}")
    assert Path(fetch_checkpoint(f"{address}#sha256={SUM}")).read_bytes() == DATA


@pytest.mark.parametrize("fragment", ["sha256=", "sha256=abc", f"sha256={SUM}0", "sha256:x"])
def test_a_sum_that_is_none_is_said_before_anything_is_fetched(web, fragment):
    server, address = web
    with pytest.raises(ValueError, match="expected 64 hexadecimal digits after #sha256="):
        fetch_checkpoint(f"{address}#{fragment}")
    assert server.ranges == []
