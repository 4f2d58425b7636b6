"""One predictor shared by several threads, as behind a web page, gives what it gives alone."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from fgaseg_d2.modeling.text.recent_embeddings import RecentEmbeddings
from fgaseg_d2.predict.predictor import OpenVocabPredictor
from tests.conftest import build_small, config

SHORT = [f"cat {number}" for number in range(33)]
LONG = [f"the very long name of house number {number} by the sea" for number in range(33)]
OTHERS = [[f"{word} {number}", "sky"] for word in ("dog", "boat") for number in range(4)]
PICTURE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


@pytest.fixture
def predictor(tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    torch.manual_seed(0)
    return OpenVocabPredictor(config("tests/data/small.yaml", "MODEL.CLIP.TEXT_CACHE_SIZE", 1))


def together(function, items, threads):
    """The results of a function, called by all threads at the same moment."""
    start = threading.Barrier(min(threads, len(items)))

    def call(indexed):
        index, item = indexed
        if index < threads:
            start.wait()
        return function(item)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, enumerate(items)))


@pytest.mark.parametrize(("words", "threads"), [((SHORT, LONG), 2), ((SHORT, LONG, *OTHERS), 4)])
def test_words_of_other_threads_change_nothing(predictor, tmp_path, words, threads):
    encoder = predictor.model.text_encoder
    disk, encoder.disk_cache = encoder.disk_cache, None
    alone = [predictor(PICTURE, some).scores for some in words]
    encoder.disk_cache = disk
    for _ in range(3):
        encoder.clear_cache()
        for path in tmp_path.rglob("*.safetensors"):
            path.unlink()
        results = together(lambda some: predictor(PICTURE, some).scores, words, threads)
        for result, expected in zip(results, alone, strict=True):
            torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    # What the threads left on disk is right as well.
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    for some, expected in zip(words, alone, strict=True):
        encoder.clear_cache()
        result = predictor(PICTURE, some).scores
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_more_vocabularies_than_are_kept(predictor):
    predictor.model.text_encoder.cache_size = 2
    predictor.model.text_encoder.clear_cache()
    alone = [predictor(PICTURE, some).scores for some in OTHERS]
    results = together(lambda some: predictor(PICTURE, some).scores, OTHERS * 4, 4)
    for result, expected in zip(results, alone * 4, strict=True):
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_explanations_beside_predictions_in_batches(predictor):
    def look(task):
        kind, words = task
        if kind == "explain":
            found = predictor.explain(PICTURE, words)
            return torch.from_numpy(found.gcs), torch.from_numpy(found.lcs), found.scores
        return tuple(found.scores for found in predictor.batch([PICTURE, PICTURE[:20]], words))

    tasks = [(kind, words) for words in (SHORT, OTHERS[0]) for kind in ("explain", "batch")]
    alone = [look(task) for task in tasks]
    predictor.model.text_encoder.clear_cache()
    for found, expected in zip(together(look, tasks * 2, 4), alone * 2, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", ["weights", "clear_cache"])
def test_embeddings_of_weights_that_changed_meanwhile_are_not_kept(
    predictor, tmp_path, monkeypatch, change
):
    encoder = predictor.model.text_encoder
    entries = tuple((word,) for word in SHORT)
    encode = encoder._encode

    def encode_slowly(entries):
        result = encode(entries)
        with torch.no_grad():
            if change == "weights":
                encoder.clip.text_projection.mul_(-1)
            else:  # as weight averaging does, behind the back of torch
                encoder.clip.text_projection.data.mul_(-1)
                encoder.clear_cache()
        return result

    with torch.no_grad():
        with monkeypatch.context() as patch:
            patch.setattr(encoder, "_encode", encode_slowly)
            old = encoder(entries)
        assert not list(tmp_path.rglob("*.safetensors"))
        torch.testing.assert_close(encoder(entries), -old)


def test_models_are_copied_without_what_their_threads_share():
    encoder = build_small().text_encoder
    with torch.no_grad():
        expected = encoder((("cat",),))
        for twin in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
            assert torch.equal(twin((("cat",),)), expected)


def test_recent_embeddings_keep_those_used_last():
    recent = RecentEmbeddings(2)
    for number in range(3):
        recent.put(number, torch.tensor(number))
        assert recent.get(0) is not None or number == 2
    assert [recent.get(number) is None for number in range(3)] == [False, True, False]
    assert len(recent) == 2
    assert len(copy.deepcopy(recent)) == 0
