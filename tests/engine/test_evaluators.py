"""Evaluators of other projects beside ours: each gets outputs as its contract says."""

import numpy as np
import pytest
import torch
from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators, SemSegEvaluator
from PIL import Image

from fgaseg_d2.engine import FGASegTrainer, testing
from tests import datasets
from tests.engine.test_testing import KnowingTrainer, Painter, evaluation_config


class Theirs(SemSegEvaluator):
    """Detectron2's evaluator, under a name of its own, so that it can stand beside ours."""

    def __init__(self, name):
        super().__init__(
            name,
            distributed=False,
            sem_seg_loading_fn=lambda file, dtype: np.array(Image.open(file), dtype),
        )

    def evaluate(self):
        return {"theirs": super().evaluate()["sem_seg"]}


class Collector(DatasetEvaluator):
    """Keeps what it is given."""

    def __init__(self):
        self.outputs = []

    def process(self, inputs, outputs):
        self.outputs += outputs

    def evaluate(self):
        return {"kept": {"pictures": len(self.outputs)}}


def evaluators(kind):
    """What a subclass's build_evaluator may return."""

    def build(cls, cfg, name):
        ours = testing.build_evaluator(cfg, name)
        return {
            "ours": ours,
            "theirs": Theirs(name),
            "mixed": DatasetEvaluators([ours, Theirs(name)]),
            "list": [ours, Theirs(name)],
            "nested": [DatasetEvaluators([Theirs(name)]), ours],
        }[kind]

    return classmethod(build)


@pytest.fixture
def blocks(tmp_path):
    """Two test sets; the model confuses two of the four classes."""
    first = datasets.write_blocks(tmp_path / "first", 3)
    second = datasets.write_blocks(tmp_path / "second", 2, height=48, width=48)
    with (
        datasets.registered("blocks_a", first, ignore_label=255),
        datasets.registered("blocks_b", second, ignore_label=255),
    ):
        yield first


@pytest.mark.parametrize("kind", ["ours", "theirs", "mixed", "list", "nested"])
def test_what_build_evaluator_returns_gets_what_it_understands(tmp_path, blocks, monkeypatch, kind):
    model = Painter(confuses=True)
    monkeypatch.setattr(KnowingTrainer, "model", model)
    monkeypatch.setattr(KnowingTrainer, "build_evaluator", evaluators(kind))
    cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("blocks_a", "blocks_b"))
    by_set = testing.evaluate(cfg, KnowingTrainer)
    assert set(model.asked) == {"labels" if kind == "ours" else None}
    for figures in by_set.values():
        ours, theirs = figures.get("mIoU"), figures.get("theirs/mIoU")
        assert all(miou == pytest.approx(50) for miou in (ours, theirs) if miou is not None)
        assert (ours is None) == (kind == "theirs") and (theirs is None) == (kind == "ours")
    found = FGASegTrainer.test(
        cfg, model, [evaluators(kind).__func__(None, cfg, name) for name in by_set]
    )
    assert list(found) == ["blocks_a", "blocks_b"]


@pytest.mark.parametrize("opts", [(), ("TEST.AUG.ENABLED", True, "TEST.AUG.MIN_SIZES", (48,))])
def test_scores_have_the_size_of_the_picture(tmp_path, blocks, monkeypatch, opts):
    """With the real model and with averaged views, whose own maps are smaller."""
    cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("blocks_a",), *opts)
    model = FGASegTrainer.build_model(cfg).eval()
    collector = Collector()
    assert FGASegTrainer.test(cfg, model, collector) == {"kept": {"pictures": 3}}
    assert {tuple(output["sem_seg"].shape) for output in collector.outputs} == {(4, 48, 64)}
    assert not any("labels" in output for output in collector.outputs)
    ours = testing.build_evaluator(cfg, "blocks_a")
    FGASegTrainer.test(cfg, model, [ours])
    predicted = torch.stack([output["sem_seg"].argmax(0) for output in collector.outputs])
    again = testing.build_evaluator(cfg, "blocks_a")
    for record, labels in zip(blocks, predicted, strict=True):
        again.process([record], [{"labels": labels}])
    assert (ours.tally.matrix == again.tally.matrix).all()


def test_a_trainer_without_an_evaluator_goes_on_as_with_detectron2(tmp_path, blocks, caplog):
    class Without(KnowingTrainer):
        @classmethod
        def build_evaluator(cls, cfg, name):
            raise NotImplementedError

    cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("blocks_a",))
    assert Without.test(cfg, Painter()) == {}
    with pytest.raises(ValueError, match="one evaluator for each of the 1 datasets .* got 2"):
        Without.test(cfg, Painter(), [Collector(), Collector()])


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("city/val", "'city_val'"),
        ("/absolute", "'absolute'"),
        ("../up", "'up'"),
        ("..", "'my_val'"),
        (".", "'my_val'"),
        ("two\nlines", "'two_lines'"),
        ("nul\0", "'nul'"),
        ("é" * 200, "another"),
        (" ", "'my_val'"),
    ],
)
def test_names_that_no_folder_can_have_are_refused_before_a_picture_is_read(
    tmp_path, blocks, monkeypatch, name, advice
):
    model = Painter()
    monkeypatch.setattr(KnowingTrainer, "model", model)
    with datasets.registered(name, blocks):
        cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("blocks_a", name))
        with pytest.raises(ValueError, match="can go into a folder of its name") as caught:
            testing.evaluate(cfg, KnowingTrainer)
        with pytest.raises(ValueError, match="can go into a folder of its name"):
            testing.build_evaluator(cfg, name)
    assert model.asked == [] and not (tmp_path / "output").exists()
    message = str(caught.value)
    assert advice in message and "\n" not in message and len(message) < 400


@pytest.mark.parametrize("name", ["a b", "set.v2", ".hidden", "größe", "a|b", "[x]*", "a\\b"])
def test_other_names_are_evaluated_and_found_again(tmp_path, blocks, monkeypatch, name):
    monkeypatch.setattr(KnowingTrainer, "model", Painter())
    with datasets.registered(name, blocks, ignore_label=255):
        cfg = evaluation_config(tmp_path, "DATASETS.TEST", (name,))
        assert testing.evaluate(cfg, KnowingTrainer)[name]["mIoU"] == 100
    assert (tmp_path / "output" / "inference" / name / "evaluation.json").is_file()
    assert "100.00" in (tmp_path / "output" / "results.md").read_text(encoding="utf-8")
