"""The questions that every method answers: a method's test subclasses a class of this file."""

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn

from fgaseg_d2.modeling.inference.refinement import PixelAdaptiveRefinement
from fgaseg_d2.modeling.samples import Sample
from fgaseg_d2.modeling.segmentor import OpenVocabSegmentor
from fgaseg_d2.modeling.stages import StageRecorder
from tests.conftest import build_small

WORDS = "cat|kitten,dog,sky,sea"


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Random colours, range 0..255."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(3, height, width, generator=generator) * 255


class MethodTester:
    """What also a method answers that segments nothing: gradients, round trips, half precision.

    Attributes:
        opts: configuration keys and values that make the smallest model a model of the method.
    """

    opts: tuple = ()

    def build(self) -> OpenVocabSegmentor:
        """The smallest model of the method, with random weights."""
        return build_small("DATASETS.TEST", (), *self.opts)

    def training_batch(self) -> list[Sample]:
        """Two pictures, labelled with three of four classes, a corner without a label."""
        batch: list[Sample] = []
        for index in range(2):
            label = torch.arange(64 * 64).view(64, 64) % 3 + index
            label[:8, :8] = 255
            batch.append({"image": picture(64, 64, index), "sem_seg": label, "vocabulary": WORDS})
        return batch

    def test_it_stands_on_the_base_class_and_its_towers(self):
        model = self.build()
        assert isinstance(model, OpenVocabSegmentor)
        assert {"backbone", "text_encoder"} <= dict(model.named_children()).keys()
        roles = model.parameter_roles()
        sorted_in = [id(p) for parameters in roles.values() for p in parameters]
        assert sorted(sorted_in) == sorted(id(p) for p in model.parameters())

    def test_losses_are_named_scalars_and_every_trained_parameter_gets_a_gradient(self):
        model = self.build().train()
        losses = model(self.training_batch())
        assert losses and all(name.startswith("loss_") for name in losses)
        assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
        named = dict(model.named_parameters())
        assert [n for n, p in named.items() if p.requires_grad and p.grad is None] == []
        assert [n for n, p in named.items() if not p.requires_grad and p.grad is not None] == []

    def test_weights_go_round_through_detectron2s_own_checkpointer(self, tmp_path):
        first, second = self.build(), self.build()
        with torch.no_grad():
            for parameter in second.parameters():
                parameter.add_(1)
        DetectionCheckpointer(first, str(tmp_path)).save("model")
        DetectionCheckpointer(second).load(str(tmp_path / "model.pth"))
        state = second.state_dict()
        assert {n for n, t in first.state_dict().items() if not torch.equal(t, state[n])} == set()

    def test_losses_are_finite_in_half_precision(self):
        model = self.build().train()
        with torch.autocast("cpu", torch.bfloat16):
            losses = model(self.training_batch())
        assert all(loss.isfinite() for loss in losses.values())


class SegmentorTester(MethodTester):
    """And what a method answers that segments: shapes, batches, outputs, explanations, errors."""

    def segment(self, model: nn.Module, *inputs: dict) -> list[torch.Tensor]:
        """Scores of each picture."""
        with torch.no_grad():
            return [result["sem_seg"] for result in model(list(inputs))]

    def test_scores_are_probabilities_of_the_named_classes_at_the_pictures_size(self):
        inputs = {"image": picture(50, 80), "vocabulary": WORDS, "height": 20, "width": 30}
        (scores,) = self.segment(self.build(), inputs)
        assert scores.shape == (4, 20, 30) and scores.dtype == torch.float32
        assert 0 <= scores.min() <= scores.max() <= 1

    def test_a_batch_equals_its_pictures_one_by_one(self):
        model = self.build()
        inputs = [
            {"image": picture(50, 80), "vocabulary": WORDS},
            {"image": picture(90, 41, 1), "vocabulary": WORDS},
            {"image": picture(64, 64, 2), "vocabulary": "house"},
        ]
        together = self.segment(model, *inputs)
        for item, expected in zip(inputs, together, strict=True):
            (alone,) = self.segment(model, item)
            torch.testing.assert_close(alone, expected, atol=1e-5, rtol=1e-4)

    def test_labels_are_the_best_scores(self):
        model, item = self.build(), {"image": picture(50, 80), "vocabulary": WORDS}
        with torch.no_grad():
            scores, labels = model([item, {**item, "output": "labels"}])
        # Places in a batch round differently: the label's score is the best but for that.
        chosen = scores["sem_seg"].gather(0, labels["labels"][None].long())[0]
        torch.testing.assert_close(chosen, scores["sem_seg"].amax(0), atol=1e-6, rtol=0)

    def test_an_explanation_is_the_same_result_with_its_maps(self):
        model, item = self.build(), {"image": picture(50, 80), "vocabulary": WORDS}
        with torch.no_grad(), StageRecorder({"tower": model.backbone}) as record:
            (explained,) = model([{**item, "explain": True}])
        assert len(record.outputs["tower"]) == 1, "one pass, not two"
        torch.testing.assert_close(explained["sem_seg"], self.segment(model, item)[0])
        assert all(len(maps) == 5 for maps in explained["pseudo_masks"].values())
        assert bool(explained["routes"]) == model.has_routes
        for layer in explained["routes"].values():
            assert len(layer.chosen) == len(explained["views"])

    def test_what_cannot_be_asked_is_said_in_one_line(self):
        model, item = self.build(), {"image": picture(20, 20)}
        with pytest.raises(ValueError, match="expected words to look for, got none"):
            model([item])
        with pytest.raises(ValueError, match="'scores', 'labels' or 'canvas'"):
            model([item | {"vocabulary": "cat", "output": "polygons"}])

    def test_scores_follow_the_picture_where_that_is_asked_for(self):
        """They are those of before, each pixel with a mean of its neighbors' in their stead."""
        model = self.build()
        item = {"image": picture(30, 41), "vocabulary": WORDS, "output": "canvas"}
        (plain,) = self.segment(model, item)
        model.refinement = PixelAdaptiveRefinement(2, (1, 3))
        (refined,) = self.segment(model, item)
        assert refined.shape == (4, 30, 41)
        torch.testing.assert_close(refined, model.refinement(plain, item["image"]))

    def test_half_precision_stays_close(self):
        model, item = self.build(), {"image": picture(64, 64), "vocabulary": WORDS}
        (expected,) = self.segment(model, item)
        model.autocast_dtype = torch.bfloat16
        (actual,) = self.segment(model, item)
        torch.testing.assert_close(actual, expected, atol=0.05, rtol=0)
