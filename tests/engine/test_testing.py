"""Evaluation of several test sets in one run: files, interruptions, bad input, several views."""

import csv
import json
import logging

import numpy as np
import pytest
import torch
from detectron2.evaluation import DatasetEvaluator
from PIL import Image
from torch import nn

from fgaseg_d2.engine import FGASegTrainer, testing
from fgaseg_d2.engine.run_description import describe_run
from fgaseg_d2.evaluation.published import rows_for
from fgaseg_d2.modeling import stages
from tests import datasets
from tests.conftest import config
from tests.engine import training
from tests.engine.training import training_config


class Painter(nn.Module):
    """Knows the colours of the blocks; red and green are one to it if it is told so."""

    def __init__(self, confuses: bool = False):
        super().__init__()
        self.order = torch.tensor([1, 0, 2, 3] if confuses else [0, 1, 2, 3])
        self.asked, self.words = [], []

    def forward(self, batch):
        results = []
        for item in batch:
            self.asked.append(item.get("output"))
            self.words.append(item["vocabulary"].class_names)
            colors = torch.from_numpy(datasets.COLORS).float()[self.order]
            image = item["image"].permute(1, 2, 0).float()
            results.append({"sem_seg": -(image[None] - colors[:, None, None]).abs().sum(-1)})
        return results


@pytest.fixture
def sets(tmp_path):
    """Two test sets with vocabularies of their own."""
    first = datasets.write_blocks(tmp_path / "first", 3)
    second = datasets.write_blocks(tmp_path / "second", 2, height=48, width=48)
    classes = ["rouge", "vert", "bleu", "gris"]
    with (
        datasets.registered("blocks_a", first),
        datasets.registered("blocks_b", second, stuff_classes=classes, unseen_classes=["bleu"]),
    ):
        yield first, second


def evaluation_config(tmp_path, *opts):
    return training_config(
        tmp_path, "DATASETS.TEST", ("blocks_a", "blocks_b"), "INPUT.MIN_SIZE_TEST", 48, *opts
    )


class KnowingTrainer(FGASegTrainer):
    """Evaluates the Painter instead of a model that would need training."""

    model = Painter()

    @classmethod
    def build_model(cls, cfg):
        return cls.model


def evaluate(cfg, model, monkeypatch):
    monkeypatch.setattr(KnowingTrainer, "model", model)
    return testing.evaluate(cfg, KnowingTrainer, config_file="blocks.yaml")


def test_several_sets_in_one_run_each_with_its_words(tmp_path, sets, monkeypatch, caplog):
    model = Painter(confuses=True)
    model.eval()
    with caplog.at_level(logging.INFO):
        figures = evaluate(
            evaluation_config(tmp_path, "TEST.OLD_MIOU_RULE", True, "TEST.SAVE_PREDICTIONS", True),
            *(model, monkeypatch),
        )
    assert set(model.asked) == {"labels"} and not model.training
    assert set(model.words) == {datasets.CLASSES, ("rouge", "vert", "bleu", "gris")}
    output = tmp_path / "output"
    results = json.loads((output / "results.json").read_text(encoding="utf-8"))
    assert list(results) == ["blocks_a", "blocks_b"]
    assert results["blocks_a"]["mIoU"] == pytest.approx(50) == figures["blocks_a"]["mIoU"]
    assert results["blocks_a"]["IoU-red block"] == 0 and results["blocks_b"]["IoU-bleu"] == 100
    assert results["blocks_b"]["seen_mIoU"] == pytest.approx(100 / 3)
    assert results["blocks_a"]["pictures"] == 3
    with open(output / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["dataset"] for row in rows] == ["blocks_a", "blocks_b"]
    assert float(rows[0]["mIoU"]) == results["blocks_a"]["mIoU"] and rows[0]["seen_mIoU"] == ""
    with open(output / "inference/blocks_b/per_class.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["rouge", "vert", "bleu", "gris"]
    assert [row["unseen"] for row in rows] == ["0", "0", "1", "0"]
    page = (output / "results.md").read_text(encoding="utf-8")
    assert "| blocks_a | 3 | 50.00 |" in page and "since July 2022" in page
    assert "blocks.yaml" in page and "Not the published protocol" in page
    assert page in caplog.text
    index = json.loads((output / "inference/blocks_a/predictions/predictions.json").read_text())
    assert index["run"]["config"] == "blocks.yaml" and len(index["files"]) == 3


def test_a_set_that_is_missing_is_found_before_the_first_is_evaluated(tmp_path, sets, monkeypatch):
    _, second = sets
    (tmp_path / "second" / "1.label.png").unlink()
    model = Painter()
    with pytest.raises(FileNotFoundError, match=r"'blocks_b': 1 of 4 files do not .*1.label.png"):
        evaluate(evaluation_config(tmp_path), model, monkeypatch)
    with pytest.raises(ValueError, match="'blocks_c' is not registered"):
        cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("blocks_a", "blocks_c"))
        evaluate(cfg, model, monkeypatch)
    with pytest.raises(ValueError, match="expected unseen classes of 'blocks_a', got 'gris'"):
        evaluate(evaluation_config(tmp_path, "TEST.UNSEEN_CLASSES", "gris"), model, monkeypatch)
    assert model.asked == []


def test_an_interrupted_run_keeps_the_sets_that_are_finished(tmp_path, sets, monkeypatch):
    class Interrupted(Painter):
        def forward(self, batch):
            if len(self.asked) == 3:
                raise KeyboardInterrupt
            return super().forward(batch)

    with pytest.raises(KeyboardInterrupt):
        evaluate(evaluation_config(tmp_path), Interrupted(), monkeypatch)
    path = tmp_path / "output" / "results.json"
    assert list(json.loads(path.read_text())) == ["blocks_a"]
    # The rest alone completes the table, because it is made in the same way.
    cfg = evaluation_config(tmp_path, "DATASETS.TEST", ("blocks_b",))
    evaluate(cfg, Painter(), monkeypatch)
    assert list(json.loads(path.read_text())) == ["blocks_a", "blocks_b"]
    # What was made otherwise does not stay beside it.
    evaluate(
        evaluation_config(
            tmp_path, "DATASETS.TEST", ("blocks_b",), "TEST.SLIDING_WINDOW.ENABLED", True
        ),
        *(Painter(), monkeypatch),
    )
    assert list(json.loads(path.read_text())) == ["blocks_b"]


def test_another_evaluator_is_written_as_well(tmp_path, sets, monkeypatch):
    class Counter(DatasetEvaluator):
        def evaluate(self):
            return {"sem_seg": {"mIoU": 12.0}, "speed": {"fps": 3.0}}

    monkeypatch.setattr(KnowingTrainer, "build_evaluator", lambda cfg, name: Counter())
    evaluate(evaluation_config(tmp_path), Painter(), monkeypatch)
    results = json.loads((tmp_path / "output" / "results.json").read_text())
    assert results["blocks_a"] == {"mIoU": 12.0, "speed/fps": 3.0, "pictures": None}


@pytest.mark.parametrize(("expected", "passes"), [(100.0, True), (99.0, False)])
def test_expected_results_are_verified(tmp_path, sets, monkeypatch, expected, passes):
    wanted = [["sem_seg", "mIoU", expected, 0.5]]
    cfg = evaluation_config(
        tmp_path, "DATASETS.TEST", ("blocks_a",), "TEST.EXPECTED_RESULTS", wanted
    )
    if passes:
        evaluate(cfg, Painter(), monkeypatch)
    else:
        with pytest.raises(SystemExit):
            evaluate(cfg, Painter(), monkeypatch)
    assert (tmp_path / "output" / "results.json").is_file()


def test_the_first_pictures_alone(tmp_path, sets, monkeypatch, caplog):
    model = Painter()
    figures = evaluate(evaluation_config(tmp_path, "TEST.MAX_PICTURES", 2), model, monkeypatch)
    assert [figures[name]["mIoU"] for name in figures] == [100, 100] and len(model.asked) == 4
    path = tmp_path / "output" / "inference" / "blocks_a" / "evaluation.json"
    found = json.loads(path.read_text())
    assert (found["pictures"], found["expected"]) == (2, 2)
    # As the whole set has it: the truth of its first two pictures.
    labels = [np.array(Image.open(record["sem_seg_file_name"])) for record in sets[0][:2]]
    assert [row["true_pixels"] for row in found["per_class"]] == [
        sum(int((label == index).sum()) for label in labels) for index in range(4)
    ]
    assert "were not evaluated" not in caplog.text
    with pytest.raises(ValueError, match="expected TEST.MAX_PICTURES .* 0 or more, got -1"):
        evaluate(evaluation_config(tmp_path, "TEST.MAX_PICTURES", -1), model, monkeypatch)


def test_what_the_model_costs_is_noted(tmp_path, sets, monkeypatch):
    class Slow(Painter):
        def __init__(self):
            super().__init__()
            self.trained = nn.Parameter(torch.zeros(5))
            self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)

        def forward(self, batch):
            # The first picture of a set, at which words are embedded, does not count.
            clock["now"] += 100.0 if len(self.asked) in (0, 3) else 2.0
            return super().forward(batch)

    clock = {"now": 0.0}
    monkeypatch.setattr(stages.time, "perf_counter", lambda: clock["now"])
    model = Slow()
    evaluate(evaluation_config(tmp_path), model, monkeypatch)
    for name in ("blocks_a", "blocks_b"):
        path = tmp_path / "output" / "inference" / name / "evaluation.json"
        assert json.loads(path.read_text())["cost"] == {
            **{"parameters": 7, "trained_parameters": 5, "seconds_per_picture": 2.0}
        }
    assert not model._forward_hooks and not model._forward_pre_hooks


def test_a_real_model_over_several_views(tmp_path, sets):
    """Scores and labels agree; one view of the usual size is no augmentation."""
    base = ("DATASETS.TEST", ("blocks_a",), "TEST.AUG.ENABLED", True)
    base += ("TEST.AUG.MIN_SIZES", (40, 48))
    records = sets[0]
    model = FGASegTrainer.build_model(evaluation_config(tmp_path)).eval()
    cfg = evaluation_config(tmp_path, *base)
    item = next(iter(FGASegTrainer.build_test_loader(cfg, "blocks_a")))[0]
    assert item["file_name"] == records[0]["file_name"]

    def scores(*opts):
        views = testing.model_for_test(evaluation_config(tmp_path, *base, *opts), model).model
        with torch.no_grad():
            return views([item])[0]["sem_seg"]

    with torch.no_grad():
        plain = model([item])[0]["sem_seg"]
        mirrored = model([{**item, "image": item["image"].flip(-1)}])[0]["sem_seg"].flip(-1)
        larger = model([{**item, "scale": 1.5}])[0]["sem_seg"]
    alone = ("TEST.AUG.MIN_SIZES", (48,), "TEST.AUG.FLIP", False)
    torch.testing.assert_close(scores(*alone), plain)
    torch.testing.assert_close(scores(*alone, "TEST.AUG.FLIP", True), (plain + mirrored) / 2)
    two = ("TEST.AUG.MIN_SIZES", (48, 72), "TEST.AUG.FLIP", False)
    torch.testing.assert_close(scores(*two), (plain + larger) / 2)
    results = FGASegTrainer.test(evaluation_config(tmp_path, *base), model)
    assert 0 <= results["sem_seg"]["mIoU"] <= 100
    with pytest.raises(ValueError, match="TEST.AUG.MIN_SIZES with sizes above 0"):
        testing.check_test_sets(evaluation_config(tmp_path, *base, "TEST.AUG.MIN_SIZES", (0,)))


def evaluate_one_of_several(folder, records):
    """What each process of a distributed evaluation does; test_distributed.py compares them."""
    with datasets.registered("blocks_a", records):
        cfg = evaluation_config(folder, "DATASETS.TEST", ("blocks_a",))
        cfg.TEST.SAVE_PREDICTIONS = True
        KnowingTrainer.model = Painter(confuses=True)
        testing.evaluate(cfg, KnowingTrainer)


@pytest.mark.parametrize("name", ["benchmarks_vitb16", "benchmarks_vitl14"])
def test_the_benchmark_configurations_follow_the_published_protocol(name):
    cfg = config(f"configs/fgaseg/{name}.yaml")
    run = describe_run(cfg)
    assert run["deviations"] == []
    assert len(cfg.DATASETS.TEST) == 6 and all(set_.endswith("_val") for set_ in cfg.DATASETS.TEST)
    size = {"benchmarks_vitb16": "ViT-B/16", "benchmarks_vitl14": "ViT-L/14"}[name]
    assert {row.clip for row in rows_for(run["clip"])} == {size}
    whole = config(f"configs/fgaseg/{name}.yaml", "TEST.SLIDING_WINDOW.ENABLED", False)
    assert describe_run(whole)["deviations"] == [
        "TEST.SLIDING_WINDOW.ENABLED is False instead of True"
    ]
    assert describe_run(whole)["fingerprint"] != run["fingerprint"]


def test_training_evaluates_in_between_and_in_the_end(tmp_path, sets):
    """EvalHook stores every figure of every set, as with Detectron2's own trainer."""
    training.register_blocks(tmp_path)
    trainer = training.train(
        evaluation_config(tmp_path, "SOLVER.MAX_ITER", 2, "TEST.EVAL_PERIOD", 1)
    )
    assert len(trainer.storage.history("blocks_b/sem_seg/mIoU").values()) == 2
    assert len(trainer.storage.history("blocks_a/sem_seg/IoU-red block").values()) == 2
