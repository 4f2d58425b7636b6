"""Pseudo-masks: the numbers, what is missing in other heads, and the contact sheet."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fgaseg_d2 import OpenVocabPredictor, Vocabulary
from fgaseg_d2.drawing.contact_sheet import Column, draw_contact_sheet
from fgaseg_d2.drawing.legend import LegendEntry
from fgaseg_d2.modeling.inference.protocols import CanvasWindows
from fgaseg_d2.predict.explanation import Explanation
from tests.conftest import ROOT, config

WORDS = "red house,tree,sky,sea,cat,road"
FAST = ("MODEL.FGASEG.FAST.ENABLED", True, "MODEL.FGASEG.FAST.KEEP", 1)
GREY = (233, 236, 239)  # where a map is missing
WINDOWS = (
    *("TEST.SLIDING_WINDOW.ENABLED", True, "TEST.SLIDING_WINDOW.CANVAS", [96, 96]),
    *("TEST.SLIDING_WINDOW.SIZE", [64, 64], "TEST.SLIDING_WINDOW.STRIDE", [32, 32]),
)


def predictor(*opts):
    torch.manual_seed(0)
    return OpenVocabPredictor(config("tests/data/small.yaml", *opts))


@pytest.fixture(scope="module")
def plain():
    return predictor()


def picture(height=50, width=90, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def features(predictor, image, words=WORDS):
    """Aligned text T x C and tokens C x h x w, step by step from the picture."""
    model, cfg = predictor.model, predictor.cfg
    resized = predictor._prepare(image, Vocabulary.parse(words))["image"]
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD)
    )
    view = F.interpolate(((resized - mean) / std)[None], (64, 64), mode="bilinear")
    with torch.no_grad():
        dense = model.backbone(view)["dense"]
        text = model.text_encoder(Vocabulary.parse(words).entries)
        return model.sem_seg_head.p2tformer(text, dense)[0].numpy(), dense[0].numpy()


def test_gcs_is_the_cosine_of_text_and_tokens(plain):
    image = picture()
    text, dense = features(plain, image)
    gcs = plain.explain(image, WORDS).gcs
    assert gcs.shape == (6, 8, 8) and gcs.dtype == np.float32
    for word, row, column in [(0, 0, 0), (3, 2, 7), (5, 7, 1)]:
        token = dense[:, row, column]
        cosine = text[word] @ token / np.linalg.norm(text[word]) / np.linalg.norm(token)
        assert gcs[word, row, column] == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("norm", [True, False])
def test_lcs_is_a_convolution_made_of_the_text(norm):
    one, image = predictor("MODEL.FGASEG.LCS.KERNEL_NORM", norm), picture()
    text, dense = map(torch.from_numpy, features(one, image))
    linear = one.model.sem_seg_head.local_similarity.kernels.linear
    lcs = one.explain(image, WORDS).lcs
    assert lcs.shape == (6, 8, 8) and lcs.dtype == np.float32
    for word, embedding in enumerate(text):
        out = linear.weight @ (embedding / embedding.norm()) + linear.bias
        kernel = out[:-1].reshape(-1, 9)
        kernel = (kernel.softmax(1) if norm else kernel).reshape(1, -1, 3, 3)
        unit = dense / dense.norm(dim=0)
        expected = F.conv2d(unit[None], kernel, out[-1:], padding=1)[0, 0]
        np.testing.assert_allclose(lcs[word], expected.detach(), atol=1e-5)


@pytest.mark.parametrize(
    "opts",
    [(), FAST, ("MODEL.FGASEG.MAX_CLASSES", 3), ("MODEL.FGASEG.KEEP_CLASSES", 1)],
    ids=["plain", "fast", "max_classes", "keep_classes"],
)
def test_explains_what_the_prediction_was_made_of(opts):
    """The maps that go into the ordinary pass are those that are shown, of the same classes."""
    one, image, seen = predictor(*opts), picture(), {}
    head = one.model.sem_seg_head
    head.local_similarity.register_forward_hook(lambda _, args, out: seen.update(lcs=out[0]))
    head.embed_global.register_forward_pre_hook(lambda _, args: seen.update(gcs=args[0][0]))
    one(image, WORDS)
    used = {name: maps.numpy() for name, maps in seen.items()}
    explanation = one.explain(image, WORDS)
    kept = ~np.isnan(explanation.lcs).any((1, 2))
    np.testing.assert_allclose(explanation.lcs[kept], used["lcs"], atol=1e-6)
    np.testing.assert_allclose(explanation.gcs[kept], used["gcs"], atol=1e-6)
    assert np.isnan(explanation.lcs[~kept]).all()
    assert kept.all() == (opts in [(), FAST])
    if "MODEL.FGASEG.MAX_CLASSES" in opts:
        peaks = explanation.gcs.max((1, 2))
        assert sorted(np.flatnonzero(kept)) == sorted(peaks.argsort()[-3:])


@pytest.mark.parametrize("opts", [(), FAST, WINDOWS], ids=["plain", "fast", "windows"])
def test_the_final_maps_are_the_predictors(opts):
    one, image = predictor(*opts), picture()
    explanation, prediction = one.explain(image, WORDS), one(image, WORDS)
    assert (explanation.labels == prediction.labels).all()
    assert (explanation.scores == prediction.scores).all()
    assert (explanation.labels == explanation.scores.argmax(0).numpy()).all()
    assert explanation.describe() == prediction.describe()


@pytest.mark.parametrize(
    "opts",
    [("MODEL.FGASEG.LCS.ENABLED", False), ("MODEL.SEM_SEG_HEAD.NAME", "DenseCLIPHead")],
    ids=["no_lcs", "dense_clip"],
)
def test_a_model_without_lcs_has_two_columns(plain, opts):
    explanation = predictor(*opts).explain(picture(), WORDS)
    assert explanation.lcs is None
    assert explanation.gcs.shape == (6, 8, 8)
    assert np.abs(explanation.gcs).max() <= 1
    full = plain.explain(picture(), WORDS).sheet()
    assert explanation.sheet().shape[1] < full.shape[1]
    with pytest.raises(ValueError, match="expected maps that this model has, got 'lcs'"):
        explanation.class_maps("lcs")


def test_a_class_shows_its_best_synonym_and_a_threshold_none(plain):
    words = Vocabulary.coerce("red house|tree,sky", background_threshold=0.9)
    explanation = plain.explain(picture(), words)
    maps = explanation.class_maps("gcs")
    assert maps.shape == (3, 8, 8)
    assert (maps[0] == explanation.gcs[:2].max(0)).all()
    assert (maps[1] == explanation.gcs[2]).all()
    assert np.isnan(maps[2]).all()
    assert explanation.sheet().ndim == 3


@pytest.mark.parametrize("opts", [FAST, ("MODEL.FGASEG.MAX_CLASSES", 3)])
def test_a_rejected_word_is_said_to_be(opts):
    explanation = predictor(*opts).explain(picture(), WORDS)
    rejected = explanation.scores.amax((1, 2)) < 1e-30
    final = explanation._columns(list(range(6)))[-1].maps
    assert 0 < rejected.sum() < 6
    assert [values == "rejected" for values in map(str, final)] == rejected.tolist()
    assert colors(explanation.sheet(), GREY) > 0


def test_words_follow_by_area_and_then_by_probability(plain):
    explanation = plain.explain(picture(), WORDS)
    scores = torch.zeros(6, 10, 10)
    scores[4], scores[1, :6], scores[2, 0, 0], scores[5, 3, 3] = 0.5, 0.6, 0.4, 0.3
    labels = scores.argmax(0).numpy().astype(np.int32)
    explanation = dataclasses.replace(explanation, labels=labels, scores=scores)
    assert explanation.ranking()[:4] == [1, 4, 2, 5]


def test_windows_merge_into_the_canvas_of_the_scores():
    """Where tokens are pixels, maps are merged as scores are."""
    sizes = ((60, 80), (36, 48), (24, 32))
    protocol = CanvasWindows(*sizes, sizes[1])
    views = protocol.views(torch.rand(3, 60, 80, generator=torch.manual_seed(0)))
    torch.testing.assert_close(protocol.merge_tokens(views), protocol.merge(views))
    published = CanvasWindows((640, 640), (384, 384), (256, 256), (384, 384))
    published = published.merge_tokens(torch.ones(5, 70, 24, 24))
    torch.testing.assert_close(published, torch.ones(70, 40, 40))


def test_a_window_without_a_map_has_no_weight():
    sizes = ((6, 6), (4, 4), (2, 2))
    views = torch.full((5, 2, 4, 4), float("nan"))
    views[0, 0], views[4, 0] = 1.0, 3.0
    merged = CanvasWindows(*sizes, sizes[1]).merge_tokens(views)
    assert merged[0, 0, 0] == 2  # half the window, half the whole view
    assert merged[0, 5, 5] == 3  # the whole view alone
    assert merged[1].isnan().all()


def test_windows_of_a_model_are_explained(plain):
    explanation = predictor(*WINDOWS).explain(picture(), WORDS)
    assert explanation.gcs.shape == explanation.lcs.shape == (6, 12, 12)
    assert np.isfinite(explanation.lcs).all()


def test_few_views_at_a_time_and_autocast_change_little():
    expected = predictor(*WINDOWS).explain(picture(), WORDS)
    for opts, tolerance in (("TEST.MAX_VIEWS", 2), 1e-5), (("TEST.AMP_DTYPE", "bfloat16"), 0.05):
        explanation = predictor(*WINDOWS, *opts).explain(picture(), WORDS)
        assert explanation.gcs.dtype == explanation.lcs.dtype == np.float32
        np.testing.assert_allclose(explanation.gcs, expected.gcs, atol=tolerance)
        np.testing.assert_allclose(explanation.lcs, expected.lcs, atol=tolerance)


def colors(sheet, color):
    """Number of pixels of a colour."""
    return int((sheet == np.array(color, np.uint8)).all(-1).sum())


def two_rows(*maps):
    image, labels = np.zeros((200, 300, 3), np.uint8), np.zeros((200, 300), np.int32)
    rows = [LegendEntry("cat", (9, 9, 200), 1.0), LegendEntry("dog", (9, 200, 9), 0.0)]
    palette = np.array([row.color for row in rows], np.uint8)
    return draw_contact_sheet(
        *(image, labels, palette),
        heading=("a", "b"),
        rows=rows,
        columns=[Column("GCS", "n", maps)],
    )


def test_a_column_goes_from_its_smallest_value_to_its_largest():
    """Ends of viridis (https://bids.github.io/colormap): nearly black blue, yellow."""
    low, high = np.full((4, 6), -3.0, np.float32), np.full((4, 6), 7.0, np.float32)
    sheet = two_rows(low, high)
    assert colors(sheet, (68, 1, 84)) == pytest.approx(300 * 200, rel=0.01)
    assert colors(sheet, (253, 231, 37)) == pytest.approx(300 * 200, rel=0.01)
    alone = two_rows(low, low)
    assert colors(alone, (68, 1, 84)) == pytest.approx(2 * 300 * 200, rel=0.01)


def test_holes_are_grey_and_missing_maps_say_why():
    holes = np.zeros((4, 6), np.float32)
    holes[:, 3:] = np.nan
    whole = colors(two_rows(holes + 1, "not kept"), GREY)
    assert 0.9 * 300 * 200 < whole - 300 * 200 / 2 < 300 * 200  # some is covered by the words
    assert colors(two_rows("not kept", "not kept"), GREY) > 1.8 * 300 * 200


@pytest.mark.parametrize("size", [(1, 400), (400, 1), (30, 20), (2000, 3000)])
def test_pictures_of_every_shape(size):
    words = Vocabulary.parse("größes Haus,зелёная лодка," + "long " * 30 + ",cat")
    labels = np.zeros(size, np.int32)
    maps = np.random.default_rng(0).random((4, 8, 8), np.float32)
    explanation = Explanation(
        image=np.zeros((*size, 3), np.uint8),
        labels=labels,
        scores=torch.rand(4, *size),
        vocabulary=words,
        maps={"gcs": maps, "lcs": maps},
    )
    sheet = explanation.sheet()
    assert sheet.dtype == np.uint8
    assert 700 < sheet.shape[1] < 1300
    assert 300 < sheet.shape[0] < 2200
    shorter = explanation.sheet(words=1)
    assert shorter.shape[1] == sheet.shape[1]
    assert shorter.shape[0] < sheet.shape[0]
    assert (sheet[-8:] == 255).all() and (sheet[:, -8:] == 255).all()  # nothing is cut off


def test_a_method_shows_its_own_masks():
    """LDVC: a column for each layer of its decoder, without GCS and LCS."""
    opts = ("MODEL.META_ARCHITECTURE", "LDVC", "MODEL.LDVC.LAYERS", 2)
    explanation = predictor(*opts, "MODEL.LDVC.PROMPTS", "vision").explain(picture(), WORDS)
    assert list(explanation.maps) == ["layer1", "layer2"]
    assert explanation.gcs is None and explanation.lcs is None
    masks = explanation.class_maps("layer2")
    assert masks.shape == (6, 8, 8) and masks.min() >= 0 and masks.max() <= 1
    three_columns, four_columns = (
        sheet.shape[1]
        for sheet in (
            explanation.sheet(),
            dataclasses.replace(
                explanation, maps={**explanation.maps, "layer3": explanation.maps["layer2"]}
            ).sheet(),
        )
    )
    assert three_columns < four_columns


def test_very_many_words_make_smaller_maps():
    names = [f"word {number}" for number in range(847)]
    maps = np.zeros((847, 4, 4), np.float32)
    explanation = Explanation(
        image=np.zeros((60, 90, 3), np.uint8),
        labels=np.zeros((60, 90), np.int32),
        scores=torch.zeros(847, 60, 90),
        vocabulary=Vocabulary.from_names(names),
        maps={"gcs": maps},
    )
    sheet = explanation.sheet(words=2000)
    assert sheet.shape[0] > 847 * 40
    assert sheet.size < 3 * 6e7
    with pytest.raises(ValueError, match="expected 1 word or more on a sheet, got 0"):
        explanation.sheet(words=0)


def test_the_code_of_the_documentation_runs(monkeypatch):
    text = (ROOT / "docs" / "EXPLAIN.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(ROOT)
    names = {}
    exec(compile(code, "EXPLAIN.md", "exec"), names)
    explanation = names["explanation"]
    assert explanation.gcs.shape == explanation.lcs.shape == (3, 32, 32)
    assert explanation.scores.shape == (2, *explanation.labels.shape)
