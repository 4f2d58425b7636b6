"""OpenVocabSegmentor: what every method of this package shares as a Detectron2 meta-architecture.

list of dicts -> pictures, normalised -> a protocol cuts views -> the method's logits -> scores ->
the protocol merges -> entries become classes -> one dict a picture; in training the losses.

Letters: B pictures, V views, T text entries, K classes, h w the logits' resolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.nn import functional as F

from ..vocabulary import Vocabulary
from ..vocabulary.dataset_words import LABELLED
from .inference.class_scores import ScoreFunction, reduce_entries, with_threshold
from .inference.geometry import Size
from .inference.label_maps import requested_output
from .inference.protocols import PictureViews, ViewProtocol, make_protocol
from .inference.refinement import PixelAdaptiveRefinement
from .inference.segment_scores import SegmentScores, segment_output, voted
from .precision import autocast
from .proposals import Proposals, segments_of
from .roles import first_claims
from .routes import Routes
from .samples import Sample, alike, common_words
from .shared_arguments import shared_arguments
from .stages import StageRecorder
from .text.encoder import CLIPTextEncoder
from .towers.base import ImageTower


class OpenVocabSegmentor(nn.Module):
    """Base class of the methods, which say `losses` and `logits`.

    Args:
        backbone: the image tower.
        text_encoder: the text tower.
        finetune: which parameters of the two train, see `ImageTower.train_only`.
        train_vocabulary, test_vocabulary: what `Vocabulary.coerce` takes, for inputs without words.
        unseen: names of classes that training must not see.
        image_size: height and width that pictures (and windows) are resized to for the tower.
        pixel_mean, pixel_std: of the three channels, in the order of the input, range 0..255.
        sliding_window: canvas, window size and stride, or None to look at the picture whole.
        slide_sides: shorter side, and longer side at most, of pictures that keep their shape and
            are seen by windows alone; None for the canvas.
        max_views: views that go through the model together in inference.
        score_function: logits T x h x w of one view -> probabilities.
        autocast_dtype: autocast in inference, None for none.
        refinement: of class scores along the edges of the picture; None for scores as they are.
        proposals: gives segments, whose places then agree on the mean of their scores; None for
            scores as they are.

    Attributes:
        joint_views: the views of a picture go through the model together and alone, because what
            the model drops depends on all of them.
        sample_kinds: what training samples it takes, of `vocabulary.dataset_words.KINDS`.
        needs_weights: without trained weights beyond CLIP's own the results mean nothing.
        has_routes: its tokens attend to windows of their choice, of which `routes` tells.
    """

    joint_views = False
    sample_kinds: tuple[str, ...] = (LABELLED,)
    needs_weights = True
    has_routes = False
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        backbone: ImageTower,
        text_encoder: CLIPTextEncoder,
        finetune: str,
        train_vocabulary: Any,
        test_vocabulary: Any,
        unseen: Collection[str] = (),
        image_size: Size,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        sliding_window: tuple[Size, Size, Size] | None = None,
        slide_sides: Size | None = None,
        max_views: int = 8,
        score_function: ScoreFunction = torch.sigmoid,
        autocast_dtype: torch.dtype | None = None,
        refinement: PixelAdaptiveRefinement | None = None,
        proposals: Proposals | None = None,
    ) -> None:
        super().__init__()
        if max_views < 1:
            raise ValueError(f"expected `max_views` of 1 or more, got {max_views}.")
        self.protocol: ViewProtocol = make_protocol(
            image_size, backbone.size_divisibility, sliding_window, slide_sides
        )
        self.image_size = (image_size[0], image_size[1])
        self.backbone, self.text_encoder = backbone, text_encoder
        backbone.train_only(finetune)
        text_encoder.train_only(finetune)
        self.train_vocabulary = Vocabulary.coerce(train_vocabulary) if train_vocabulary else None
        self.unseen = frozenset(unseen)
        self.test_vocabulary = Vocabulary.coerce(test_vocabulary) if test_vocabulary else None
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean)[:, None, None], False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std)[:, None, None], False)
        self.max_views, self.autocast_dtype = max_views, autocast_dtype
        self.score_function, self.refinement = score_function, refinement
        self.proposals = proposals

    @classmethod
    def shared_arguments(cls, cfg: CfgNode, scores: str = "sigmoid") -> dict[str, Any]:
        """The arguments of the base class from a configuration, for a method's `from_config`.

        Args:
            cfg: complete configuration.
            scores: what MODEL.SCORES "" stands for.
        """
        return shared_arguments(cfg, scores)

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """A training batch -> weighted losses by name."""
        raise NotImplementedError(f"{type(self).__name__} has no losses")

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """Views V x 3 x H x W, normalised, and words -> V x T x h x w; what an export holds."""
        raise NotImplementedError(f"{type(self).__name__} has no logits")

    def stages(self) -> dict[str, nn.Module]:
        """The modules whose outputs a `StageRecorder` may note, in the order of the flow."""
        return {"text_encoder": self.text_encoder, "backbone": self.backbone}

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """What the stages noted -> the maps that explain a result, each V x T x h x w."""
        return {}

    def routes(self, outputs: Mapping[str, list[Any]]) -> dict[str, Routes]:
        """What the stages noted -> which windows the windows of tokens attend to, by layer."""
        return {}

    def own_roles(self) -> dict[str, Iterable[nn.Parameter]]:
        """Parameters of a method that are neither of "clip" nor of "head"."""
        return {}

    def parameter_roles(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the first that claims them: `own_roles`, "clip", "head" for all else."""
        rest = {"clip": self.clip_parameters(), "head": self.parameters()}
        return first_claims({**self.own_roles(), **rest})

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    def clip_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the towers that come trained, and of what is within them."""
        yield from self.backbone.parameters()
        yield from self.text_encoder.parameters()

    def forward(self, batched_inputs: Sequence[Sample]) -> dict[str, Tensor] | list[dict]:
        """Train or segment.

        Args:
            batched_inputs: one `Sample` a picture.

        Returns:
            In training the weighted losses by name. In inference one dict a picture, by "output":
            "scores" (the default) "sem_seg", K x height x width, scores in 0..1 of the vocabulary's
            `class_names` (or what `ranked` makes of them); "canvas" the same at the model's own
            resolution; "labels" "labels", height x width int32, the best classes, without all
            scores at that size in memory; "segments" what `segment_output` says. Where there are
            segments also "covered", the share of the pixels that they cover. Where "explain" is set
            also "pseudo_masks" (T x h x w by name, on the token grid), "routes" (by layer) and
            "views" (`PictureViews.boxes`).

        Raises:
            ValueError: there is no vocabulary, a training batch with several, or no such output.
        """
        if self.training:
            return self.losses(batched_inputs)
        results: list[dict] = [{}] * len(batched_inputs)
        for words, scale, indices in alike(batched_inputs, self.test_vocabulary, self.joint_views):
            inputs = [batched_inputs[index] for index in indices]
            if inputs[0].get("explain"):
                results[indices[0]] = self._explained(inputs[0], words, scale)
                continue
            scores = self.picture_scores(inputs, words, scale)
            for index, item, found in zip(indices, inputs, scores, strict=True):
                results[index] = self._result(item, *found, words)
        return results

    def scores(
        self, inputs: Sequence[Sample], words: Vocabulary, scale: float = 1.0
    ) -> Iterator[Tensor]:
        """Scores K x h x w of each picture, at the model's own resolution.

        Args:
            inputs: pictures, which share passes through the model.
            words: of all of them.
            scale: a factor on the resolution.
        """
        protocols = [self._protocol_for(item, scale) for item in inputs]
        views = [
            protocol.views(self.normalize(item["image"]))
            for protocol, item in zip(protocols, inputs, strict=True)
        ]
        logits = self._in_passes(torch.cat(views), words)
        for protocol, parts, item in zip(protocols, views, inputs, strict=True):
            aligned = (protocol.align(view) for view in islice(logits, len(parts)))
            merged = protocol.merge(self.score_function(view) for view in aligned)
            yield self.class_scores(merged, item, words)

    def class_scores(self, scores: Tensor, item: Sample, words: Vocabulary) -> Tensor:
        """Scores of a picture's entries, T x h x w -> of its classes, refined, K x h x w."""
        scores = reduce_entries(scores, words.entry_classes, len(words.class_names))
        if self.refinement is not None:
            scores = self.refinement(scores, item["image"].to(self.device))
        return with_threshold(scores, words.background_threshold)

    def picture_scores(
        self, inputs: Sequence[Sample], words: Vocabulary, scale: float = 1.0
    ) -> Iterator[tuple[Tensor, SegmentScores | None]]:
        """As `scores`, voted on by segments where there are some, with those of the segments."""
        for item, scores in zip(inputs, self.scores(inputs, words, scale), strict=True):
            if self.proposals is None:
                yield scores, None
                continue
            segments = voted(segments_of(item, self.proposals), scores)
            yield segments.painted(scores), segments

    def ranked(self, scores: Tensor, words: Vocabulary) -> Tensor:
        """What the best class of a pixel is taken of: the scores K x h x w, or others made of them.

        They go where the argmax is taken. Whoever asks for the "canvas" gets the scores themselves
        as "probabilities" beside them, where they differ.
        """
        return scores

    def normalize(self, image: Tensor) -> Tensor:
        """Picture 3 x H x W, range 0..255 -> what the tower takes, on the model's device."""
        return (image.to(self.device).float() - self.pixel_mean) / self.pixel_std

    def training_images(self, inputs: Sequence[Sample]) -> Tensor:
        """Pictures of a batch, padded to the largest and resized: B x 3 x image_size."""
        images = ImageList.from_tensors([self.normalize(item["image"]) for item in inputs])
        return F.interpolate(images.tensor, self.image_size, mode="bilinear")

    def training_words(self, inputs: Sequence[Sample]) -> Vocabulary:
        """The words of a training batch; see `common_words`."""
        return common_words(inputs, self.train_vocabulary)

    def training_labels(self, inputs: Sequence[Sample], ignore_value: int) -> Tensor:
        """Labels of a batch, padded like the pictures with the ignore value: B x H x W, int64."""
        labels = [item["sem_seg"].to(self.device).long() for item in inputs]
        return ImageList.from_tensors(labels, pad_value=ignore_value).tensor

    def _protocol_for(self, item: Sample, scale: float) -> PictureViews:
        height, width = item["image"].shape[-2:]
        return self.protocol.scaled(scale).for_picture((height, width))

    def _in_passes(self, views: Tensor, words: Vocabulary) -> Iterator[Tensor]:
        """Logits T x h x w of each view, float32; a few views go through together."""
        for part in views.split(len(views) if self.joint_views else self.max_views):
            with autocast(self.device, self.autocast_dtype):
                logits = self.logits(part, words)
            yield from logits.float()

    @torch.no_grad()
    def _explained(self, item: Sample, words: Vocabulary, scale: float) -> dict[str, Any]:
        """A picture's result with the maps that it was made of, from the same pass."""
        with StageRecorder(self.stages()) as record:
            ((scores, segments),) = self.picture_scores([item], words, scale)
        protocol = self._protocol_for(item, scale)
        masks = {
            name: protocol.merge_tokens(maps.float())
            for name, maps in self.pseudo_masks(record.outputs).items()
        }
        return self._result(item, scores, segments, words) | {
            "pseudo_masks": masks,
            "routes": self.routes(record.outputs),
            "views": protocol.boxes(),
        }

    def _result(
        self, item: Sample, scores: Tensor, segments: SegmentScores | None, words: Vocabulary
    ) -> dict[str, Any]:
        """What an input asks for of its scores K x h x w and its segments'."""
        if item.get("output") == "segments":
            return segment_output(segments)
        ranked = self.ranked(scores, words)
        result: dict[str, Any] = requested_output(item, ranked)
        if ranked is not scores and item.get("output") == "canvas":
            result["probabilities"] = scores
        if segments is not None:
            result["covered"] = segments.covered
        return result
