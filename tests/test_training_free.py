"""Segmentation by CLIP alone: the same commands, with nothing but a CLIP checkpoint."""

import json

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2 import Vocabulary
from fgaseg_d2.methods.dense_clip.head import DenseCLIPHead
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests import datasets
from tests.conftest import ROOT, build_small
from tests.demo_tools import in_process, write_picture
from tests.test_train_net import call

CONFIG = "training_free_vitb16"
SMALL_CLIP = ROOT / "tests/data/clip/Small-ViT-8.json"
WHOLE = ("TEST.SLIDING_WINDOW.ENABLED", "False", "MODEL.CLIP.IMAGE_SIZE", "[64, 64]")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A CLIP of open_clip with random weights, and the options that name its checkpoint."""
    open_clip.add_model_config(SMALL_CLIP)
    torch.manual_seed(4)
    model = open_clip.create_model("Small-ViT-8").eval()
    path = tmp_path_factory.mktemp("clip") / "clip.pt"
    torch.save(model.state_dict(), path)
    return model, (
        *("MODEL.CLIP.NAME", str(SMALL_CLIP), "MODEL.CLIP.PRETRAINED", str(path)),
        *("MODEL.CLIP.TEXT_CACHE_SIZE", "0", "MODEL.DEVICE", "cpu"),
    )


def test_scores_are_open_clips_cosines(clip):
    """The whole way from a picture to scores, by open_clip's own functions."""
    model, opts = clip
    single = ("MODEL.FGASEG.PROMPT_TEMPLATES", "a {}", "MODEL.CLIP.DENSE_READING", "clip")
    predictor = OpenVocabPredictor(CONFIG, opts=(*opts, *WHOLE, *single, "INPUT.MIN_SIZE_TEST", 64))
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    result = predictor(picture, "cat,dog,sky")
    mean, std = (torch.tensor(getattr(model.visual, f"image_{x}")) for x in ("mean", "std"))
    image = (torch.from_numpy(picture).permute(2, 0, 1) / 255 - mean[:, None, None]) / std[
        :, None, None
    ]
    model.visual.output_tokens = True
    with torch.no_grad():
        _, tokens = model.visual(image[None])
        tokens = F.normalize(tokens[0] @ model.visual.proj, dim=1)
        words = open_clip.get_tokenizer("Small-ViT-8")(["a cat", "a dog", "a sky"])
        text = model.encode_text(words, normalize=True)
    maps = (40 * text @ tokens.T).softmax(0).view(1, 3, 8, 8)
    expected = F.interpolate(maps, (64, 64), mode="bilinear")[0]
    torch.testing.assert_close(result.scores, expected, atol=1e-4, rtol=1e-4)


def test_demo_with_nothing_but_clip(clip, tmp_path, monkeypatch, capfd):
    main = in_process(monkeypatch, capfd)
    write_picture(tmp_path / "a.png", (90, 60))
    code, output, errors = main(
        *("--input", tmp_path / "a.png", "--vocab", "cat|kitten,dog", "--config-file", CONFIG),
        *("--output", tmp_path / "out", "--opts", *clip[1]),
    )
    assert code == 0, errors
    assert "clip.pt' alone" in output and "means nothing" not in output
    assert "warning" not in errors
    shares = json.loads((tmp_path / "out" / "a.json").read_text())["shares"]
    assert set(shares) == {"cat", "dog"} and sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("words", "warning"),
    [
        (("cat",), "every pixel gets the only one"),
        (("cat,dog", "--background-threshold", "0.5"), "2 words, and the best has at least 0.5"),
        (("cat,dog", "--background-threshold", "0.51"), ""),
        (("cat", "--background", "wall", "--background-threshold", "0.4"), "at least 0.5"),
        (("cat|kitten,dog", "--background-threshold", "0.4"), ""),
    ],
)
def test_words_that_cannot_do_what_they_say(clip, tmp_path, monkeypatch, capfd, words, warning):
    main = in_process(monkeypatch, capfd)
    write_picture(tmp_path / "a.png")
    code, _, errors = main(
        *("--input", tmp_path / "a.png", "--config-file", CONFIG, "--output", tmp_path / "out"),
        *("--vocab", *words, "--opts", *clip[1], *WHOLE),
    )
    assert code == 0, errors
    # Nor of threads that spin, which depends on what else the machine does.
    told = [line for line in errors.splitlines() if "warning:" in line and "threads" not in line]
    assert bool(told) == bool(warning)
    assert warning in errors


def test_the_best_of_the_words_never_falls_below_its_share(clip):
    """What the warning about the threshold says."""
    predictor = OpenVocabPredictor(CONFIG, opts=clip[1])
    picture = np.random.default_rng(1).integers(0, 255, (70, 50, 3), np.uint8)
    words = Vocabulary.parse("cat|kitten,dog,sky")
    assert predictor(picture, words).scores.max(0).values.min() >= 1 / 4
    beside = words.with_background(threshold=1 / 4)
    assert "background" in beside.class_names
    assert predictor(picture, beside).shares["background"] == 0


def test_evaluation_with_nothing_but_clip(clip, tmp_path, monkeypatch, capsys):
    output = tmp_path / "out"
    with datasets.registered("here", datasets.write_blocks(tmp_path)):
        code, errors = call(
            *(monkeypatch, capsys, "--eval-only", "OUTPUT_DIR", output),
            *("--config-file", f"configs/fgaseg/{CONFIG}.yaml", "DATASETS.TEST", "('here',)"),
            *(*clip[1], *WHOLE, "DATALOADER.NUM_WORKERS", "0"),
        )
    assert code == 0, errors
    assert "not trained" not in (output / "log.txt").read_text()
    assert json.loads((output / "results.json").read_text())["here"]["pictures"] == 6
    page = (output / "results.md").read_text()
    assert "Weights: CLIP's own (" in page
    # FGAseg's protocol is not that of a CLIP alone.
    assert "Not the published protocol" not in page


def test_clip_that_cannot_be_fetched_is_one_line(tmp_path, monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    with datasets.registered("here", datasets.write_blocks(tmp_path)):
        code, errors = call(
            *(monkeypatch, capsys, "--eval-only", "OUTPUT_DIR", tmp_path / "out"),
            *("--config-file", f"configs/fgaseg/{CONFIG}.yaml", "DATASETS.TEST", "('here',)"),
            *("MODEL.CLIP.NAME", "ViT-B-32-quickgelu"),
        )
    assert code == 1
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert "expected to fetch the weights 'openai' of 'ViT-B-32-quickgelu'" in line
    assert "MODEL.CLIP.PRETRAINED to the path" in line


def test_the_bundled_clip_needs_no_more_than_a_scale():
    predictor = OpenVocabPredictor("tiny_training_free", device="cpu")
    assert "; 1 tensors missing" in predictor.weights_summary
    assert predictor.model.sem_seg_head.log_scale.exp().item() == pytest.approx(40)


def test_logits_keep_their_precision_under_autocast():
    head = DenseCLIPHead(logit_scale=100)
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(2, 64, 4, 4, generator=generator)
    text = F.normalize(torch.randn(5, 64, generator=generator), dim=1)
    cosines = torch.einsum("tc,bchw->bthw", text, dense / dense.norm(dim=1, keepdim=True))
    with torch.autocast("cpu", torch.bfloat16):
        logits = head({"dense": dense}, text)["logits"]
    torch.testing.assert_close(logits, 100 * cosines, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("scale", [0.0, -1.0, 100.5, float("nan")])
def test_a_scale_out_of_range(scale):
    head = ("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead")
    with pytest.raises(ValueError, match="LOGIT_SCALE to be a number above 0 and of at most 100"):
        build_small(*head, "MODEL.CLIP.LOGIT_SCALE", scale)
