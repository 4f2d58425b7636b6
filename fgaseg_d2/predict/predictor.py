"""Pictures and words -> segmentations, for people who want three lines of Python."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import Metadata
from detectron2.modeling import build_model

from ..checkpoint.checkpointer import FGASegCheckpointer
from ..config.checks import check_names
from ..config.effects import PREDICTION
from ..config.loading import load_config
from ..data.datasets.configured import register_configured
from ..data.mappers.inputs import PictureInput
from ..modeling.inference.class_scores import softmax_scores
from ..modeling.waiting import check_waiting
from ..vocabulary import Vocabulary
from ..vocabulary.parsing import listed
from .cautions import Cautions
from .explanation import Explanation
from .outputs import labels_and_scores
from .pictures import Picture, picture_array, several, source_of
from .segmentation import Segmentation
from .segments import NamedSegment, checked_masks, named_segments

Words: TypeAlias = Vocabulary | Metadata | str | os.PathLike | Iterable[str | Iterable[str]]


class OpenVocabPredictor:
    """Segments pictures by the words that it is given.

    Example::

        predictor = OpenVocabPredictor("tiny")
        segmentation = predictor("scene.png", ["red house", "tree", "sky"])
        segmentation.save("output", "scene")

    Args:
        config: name of a model ("tiny", "catseg_vitb16": `fgaseg-d2 models` lists them) or of a
            bundled configuration ("vitb16_384"); path of a YAML file, of a training run's folder or
            of one that `fgaseg-d2 export` wrote; "hf://owner/name" on a hub; or a configuration.
        weights: a checkpoint; None takes the configuration's, "" random weights.
        device: such as "cuda" or "cpu"; None takes the configuration's, by default the GPU if there
            is one.
        opts: configuration keys and values in turn, such as ("INPUT.MIN_SIZE_TEST", 512).

    Several threads may share a predictor. A warning says what makes results doubtful: a single
    class, two of one meaning, or a photograph where the weights know drawn scenes only.

    Raises:
        FileNotFoundError: no such configuration or weights.
        ValueError: a wrong key, value or device, or a configuration without the keys of fgaseg_d2.
        PretrainedWeightsError: CLIP's pretrained weights could not be fetched or read.
    """

    def __init__(
        self,
        config: str | os.PathLike | CfgNode = "tiny",
        weights: str | os.PathLike | None = None,
        device: str | torch.device | None = None,
        opts: Sequence[Any] = (),
    ) -> None:
        self.cfg = load_config(config, opts, weights, device, PREDICTION)
        check_names(self.cfg)
        # Their classes are the default words. Where the model is used, its datasets may be gone.
        with contextlib.suppress(FileNotFoundError):
            register_configured(self.cfg)
        self._input = PictureInput.for_testing(self.cfg)
        self.cautions = Cautions()
        # Parameters that are made in inference mode could never be trained or changed.
        with torch.inference_mode(False):
            self.model, self.weights_summary = self._load_model()

    def __call__(self, image: Picture, vocabulary: Words | None = None) -> Segmentation:
        """Segment one picture.

        Args:
            image: a path, an http(s) address, the bytes of a file or an open one, a PIL image, an
                array H x W x 3 of uint8 in RGB (also grey, RGBA, or 16 bits), or a tensor.
            vocabulary: what ``Vocabulary.coerce`` takes: "cat|kitten,dog", ["cat", "dog"],
                {"cat": ["kitten"], "dog": []}, a file, the name of a benchmark or of a registered
                dataset, or a Vocabulary; None: :attr:`default_vocabulary`.

        Raises:
            FileNotFoundError: no such picture or class list.
            ValueError: not a picture, not a vocabulary, or a model in training mode.
        """
        return self.batch([image], vocabulary)[0]

    def batch(
        self, images: Iterable[Picture], vocabulary: Words | Iterable[Vocabulary] | None = None
    ) -> list[Segmentation]:
        """Segment several pictures in one pass; their sizes may differ.

        Args:
            images: pictures as in a call.
            vocabulary: words as in a call, for all pictures; or one ``Vocabulary`` for each
                picture, as a list or any other iterable.

        Raises:
            FileNotFoundError, ValueError: as a call; or vocabularies in another number, or mixed
                with other words.
        """
        return [segmentation for segmentation, _ in self._segment(several(images), vocabulary)]

    def explain(self, image: Picture, vocabulary: Words | None = None) -> Explanation:
        """Segment one picture and keep what the model made the segmentation of.

        Args:
            image, vocabulary: as in a call.

        Returns:
            What a call returns, with the pseudo-masks, and the routes of a method that has some.

        Raises:
            FileNotFoundError, ValueError: as a call.
        """
        ((segmentation, output),) = self._segment([image], vocabulary, explain=True)
        maps = {name: values.cpu().numpy() for name, values in output["pseudo_masks"].items()}
        fields = (field.name for field in dataclasses.fields(segmentation))
        return Explanation(
            **{name: getattr(segmentation, name) for name in fields},
            maps=maps,
            routes=output["routes"],
            views=output["views"],
        )

    def segments(
        self, image: Picture, vocabulary: Words | None = None, masks: Any = None
    ) -> list[NamedSegment]:
        """Name the segments of one picture.

        Args:
            image, vocabulary: as in a call.
            masks: the segments, M x H x W, which may overlap and have any size, or in another form
                (a list of masks or of COCO's run lengths, SAM's automatic masks, detectron2's
                Instances, supervision's Detections); None: those that TEST.PROPOSALS finds.

        Returns:
            Each with its ``mask``, ``name``, ``score`` and the ``scores`` of all words; in the
            order of the masks, or the largest first.

        Raises:
            FileNotFoundError: as a call.
            ValueError: as a call; masks of another form; or neither USE nor TEST.SEGMENT_VOTE True.
        """
        (words,) = self._vocabularies(vocabulary, 1)
        picture = picture_array(image)
        self._give_cautions([image], [picture], [words])
        item = self._prepare(picture, words) | {"output": "segments", "file_name": source_of(image)}
        if masks is not None:
            item["segments"] = checked_masks(masks)
        with self._segmenting():
            (output,) = self.model([item])
        found = named_segments(output, words.class_names, picture.shape[:2])
        return found if masks is not None else sorted(found, key=lambda one: -one.area)

    @property
    def default_vocabulary(self) -> Vocabulary | None:
        """The configuration's own words, None if it has none."""
        return self.model.test_vocabulary

    def _segment(
        self,
        images: Sequence[Picture],
        vocabulary: Words | Iterable[Vocabulary] | None,
        explain: bool = False,
    ) -> list[tuple[Segmentation, dict[str, Any]]]:
        """Each picture's segmentation, and what the model said of it."""
        vocabularies = self._vocabularies(vocabulary, len(images))
        pictures = [picture_array(image) for image in images]
        if not images:
            return []
        self._give_cautions(images, pictures, vocabularies)
        inputs = [
            self._prepare(picture, words) | {"explain": explain, "file_name": source_of(image)}
            for image, picture, words in zip(images, pictures, vocabularies, strict=True)
        ]
        start = time.perf_counter()
        with self._segmenting():
            outputs = self.model(inputs)
            check_waiting(time.perf_counter() - start, torch.device(self.cfg.MODEL.DEVICE))
            segmentations = [
                Segmentation(
                    image=picture,
                    **labels_and_scores(output, picture.shape[:2]),
                    vocabulary=words,
                    source=source_of(image),
                    weights=self.weights_summary,
                )
                for image, picture, words, output in zip(
                    images, pictures, vocabularies, outputs, strict=True
                )
            ]
        return list(zip(segmentations, outputs, strict=True))

    @property
    def softmax_scores(self) -> bool:
        """Whether the scores of the words add up to 1, so that the words compete."""
        return self.model.score_function is softmax_scores

    @contextlib.contextmanager
    def _segmenting(self) -> Iterator[None]:
        """Compute without gradients, and leave results that may be written to and trained on."""
        if self.model.training:
            raise ValueError(
                "expected the model in evaluation mode, got it in training mode; call "
                "predictor.model.eval() first"
            )
        with torch.inference_mode(False), torch.no_grad():
            yield

    def _give_cautions(
        self,
        images: Sequence[Picture],
        pictures: Sequence[np.ndarray],
        vocabularies: Sequence[Vocabulary],
    ) -> None:
        for words in dict.fromkeys(vocabularies):
            self.cautions.look_at_words(words, self.softmax_scores)
        for image, picture in zip(images, pictures, strict=True):
            weights = self.cfg.MODEL.WEIGHTS or self.cfg.MODEL.CLIP.PRETRAINED
            self.cautions.look_at_picture(picture, source_of(image), weights)

    def _vocabularies(
        self, words: Words | Iterable[Vocabulary] | None, count: int
    ) -> list[Vocabulary]:
        """One vocabulary for each of ``count`` pictures."""
        if words is None:
            words = self.default_vocabulary
        if words is None:
            raise ValueError(
                "expected words to look for, got none, and the configuration has none of its own; "
                "give some, such as 'cat,dog'"
            )
        single = isinstance(words, (str, bytes, os.PathLike, Mapping, AbstractSet))
        if isinstance(words, Iterable) and not single:
            # A generator can be read only once.
            words = listed(words, "words")
        items = words if isinstance(words, tuple) else ()
        own = [item for item in items if isinstance(item, Vocabulary)]
        if not own:
            return [Vocabulary.coerce(cast(Words, words))] * count
        if len(own) != len(items):
            raise ValueError(
                f"expected only vocabularies in the list, or only class names, got {len(own)} "
                f"vocabularies among {len(items)} items; make each item a Vocabulary"
            )
        if len(own) != count:
            raise ValueError(
                f"expected one vocabulary for each of {count} pictures, got {len(own)}; give as "
                "many, or a single one for all"
            )
        return own

    def _prepare(self, picture: np.ndarray, vocabulary: Vocabulary) -> dict[str, Any]:
        """One input of the model."""
        return {"image": self._input(picture), "output": "canvas", "vocabulary": vocabulary}

    def _load_model(self) -> tuple[Any, str]:
        """The model with MODEL.WEIGHTS, and what it has in words."""
        checkpointer = FGASegCheckpointer.of_new_model(
            lambda: build_model(self.cfg),
            self.cfg.MODEL.WEIGHTS,
            allow_partial=self.cfg.MODEL.WEIGHTS_PARTIAL,
        )
        checkpointer.load(self.cfg.MODEL.WEIGHTS)
        model = checkpointer.model.eval()
        loaded = self.cfg.MODEL.WEIGHTS
        return model, checkpointer.report.summary() if loaded else self._without_weights(model)

    def _without_weights(self, model: Any) -> str:
        """What a model has where MODEL.WEIGHTS is empty."""
        total = sum(parameter.numel() for parameter in model.parameters())
        pretrained = self.cfg.MODEL.CLIP.PRETRAINED
        if not pretrained:
            return (
                f"random weights (none of {total:,} parameters was trained), so the result means "
                "nothing"
            )
        clip = sum(parameter.numel() for parameter in model.parameter_roles()["clip"])
        if not model.needs_weights:
            return f"CLIP's pretrained weights {pretrained!r} alone ({clip:,} parameters)"
        return (
            f"CLIP's pretrained weights {pretrained!r} for {clip:,} of {total:,} parameters and "
            "random ones for the rest, so the result means nothing"
        )
