"""FGASeg: a Detectron2 meta-architecture for open-vocabulary semantic segmentation.

images -> backbone -> features, vocabulary -> text encoder -> text; head(features, text) -> class
logits -> losses in training, scores at each picture's own size in inference.

Letters: B images, T text entries, C joint embedding, K classes of a vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import DatasetCatalog
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone, build_sem_seg_head
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.nn import functional as F

from ...config.checks import check_config
from ...modeling.inference.class_scores import reduce_entries
from ...modeling.inference.label_maps import requested_output
from ...modeling.inference.protocols import (
    Size,
    check_sizes,
    cut_views,
    merge_token_maps,
    merge_views,
    scaled,
)
from ...modeling.precision import amp_dtype, autocast
from ...modeling.text.encoder import CLIPTextEncoder
from ...modeling.towers import normalisation
from ...modeling.towers.clip_vit import CLIPViT
from ...modeling.towers.finetune import set_trainable
from ...vocabulary import Vocabulary
from .losses import FGASegCriterion, sample_classes


@META_ARCH_REGISTRY.register()
class FGASeg(nn.Module):
    """FGAseg end to end.

    Args:
        backbone: CLIP's image tower.
        text_encoder: CLIP's text tower.
        sem_seg_head: features and text -> logits; its `joint_classes` says whether the images of a
            batch share in inference which classes are dropped.
        criterion: logits and targets -> named losses.
        finetune: which CLIP parameters train, see `set_trainable`.
        train_vocabulary, test_vocabulary: what `Vocabulary.coerce` takes, for inputs without words.
        image_size: height and width that pictures (and windows) are resized to for CLIP.
        pixel_mean, pixel_std: of the three channels, in the order of the input, range 0..255.
        sampled_classes: see MODEL.FGASEG.LOSS.SAMPLED_CLASSES.
        max_classes: classes that the head can tell apart in one training step.
        sliding_window: canvas, window size and stride, or None to look at the picture whole.
        max_views: views that go through the model together in inference, unless the head says
            that the views of a picture belong together.
        autocast_dtype: autocast in inference, None for none.
        softmax_scores: scores are a softmax over the entries instead of a sigmoid of each.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: CLIPViT,
        text_encoder: CLIPTextEncoder,
        sem_seg_head: nn.Module,
        criterion: FGASegCriterion,
        finetune: str,
        train_vocabulary: Vocabulary | str | None,
        test_vocabulary: Vocabulary | str | None,
        image_size: Size,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        sampled_classes: int = 0,
        max_classes: int = 256,
        sliding_window: tuple[Size, Size, Size] | None = None,
        max_views: int = 8,
        autocast_dtype: torch.dtype | None = None,
        softmax_scores: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(image_size, backbone.size_divisibility, sliding_window)
        self.backbone = backbone
        self.text_encoder = text_encoder
        self.sem_seg_head = sem_seg_head
        self.criterion = criterion
        set_trainable(backbone, text_encoder, finetune)
        self.train_vocabulary = train_vocabulary and Vocabulary.coerce(train_vocabulary)
        self.test_vocabulary = test_vocabulary and Vocabulary.coerce(test_vocabulary)
        self.image_size = tuple(image_size)
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean)[:, None, None], False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std)[:, None, None], False)
        self.sampled_classes, self.max_classes = sampled_classes, max_classes
        if max_views < 1:
            raise ValueError(f"expected TEST.MAX_VIEWS of 1 or more, got {max_views}.")
        # LazyConfig hands out lists of its own, which torch's functions refuse.
        self.sliding_window = tuple(map(tuple, sliding_window)) if sliding_window else None
        self.max_views = max_views
        self.autocast_dtype, self.softmax_scores = autocast_dtype, softmax_scores

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """The arguments of the constructor, from a configuration."""
        check_config(cfg)
        backbone = build_backbone(cfg)
        fga, loss, window = cfg.MODEL.FGASEG, cfg.MODEL.FGASEG.LOSS, cfg.TEST.SLIDING_WINDOW
        return {
            "backbone": backbone,
            "text_encoder": CLIPTextEncoder(cfg),
            "sem_seg_head": build_sem_seg_head(cfg, backbone.output_shape()),
            "criterion": FGASegCriterion(
                loss.MAIN,
                loss.T2P,
                loss.T2P_WEIGHT,
                loss.AUX_WEIGHTS,
                cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
                loss.IGNORED_AS_NEGATIVE,
                loss.CLASS_BALANCE,
            ),
            "finetune": cfg.MODEL.CLIP.FINETUNE,
            "train_vocabulary": fga.VOCABULARY or _words_of(cfg.DATASETS.TRAIN),
            "test_vocabulary": fga.VOCABULARY or _words_of(cfg.DATASETS.TEST),
            "image_size": tuple(cfg.MODEL.CLIP.IMAGE_SIZE),
            **normalisation.from_config(cfg),
            "sampled_classes": loss.SAMPLED_CLASSES,
            "max_classes": fga.MAX_CLASSES,
            "sliding_window": (tuple(window.CANVAS), tuple(window.SIZE), tuple(window.STRIDE))
            if window.ENABLED
            else None,
            "max_views": cfg.TEST.MAX_VIEWS,
            "autocast_dtype": amp_dtype(cfg.TEST.AMP_DTYPE, "TEST.AMP_DTYPE"),
            "softmax_scores": loss.MAIN == "ce",
        }

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    def clip_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of CLIP's two towers, trained or not."""
        yield from self.backbone.parameters()
        yield from self.text_encoder.parameters()

    def forward(self, batched_inputs: Sequence[Mapping]) -> dict[str, Tensor] | list[dict]:
        """Train or segment.

        Args:
            batched_inputs: one dict a picture: "image" 3 x H x W, range 0..255, in the channel
                order of INPUT.FORMAT; in training "sem_seg" H x W, class numbers or the ignore
                value; optional "height" and "width" of the result (default: the picture's),
                "vocabulary", a `Vocabulary` or what `Vocabulary.coerce` takes, "output", see below,
                and "scale", a factor on the resolution at which the picture is looked at.

        Returns:
            In training the weighted losses by name. In inference one dict a picture, by "output":
            "scores" (the default) "sem_seg", K x height x width, scores in 0..1 of the vocabulary's
            `class_names`; "canvas" the same at the model's own resolution; "labels" "labels",
            height x width int32, the best classes, without all scores at that size in memory.

        Raises:
            ValueError: there is no vocabulary, a training batch with several, or no such output.
        """
        if self.training:
            return self._losses(batched_inputs)
        # Pictures with the same words share a pass; the classes that early rejection leaves would
        # depend on the neighbours in the batch, so the fast variant takes pictures one by one.
        results: list[dict] = [{}] * len(batched_inputs)
        for vocabulary, scale, indices in self._groups(batched_inputs):
            inputs = [batched_inputs[index] for index in indices]
            segmented = self._segment(inputs, vocabulary, scale)
            for index, item, scores in zip(indices, inputs, segmented, strict=True):
                results[index] = requested_output(item, scores)
        return results

    @torch.no_grad()
    def pseudo_masks(self, item: Mapping) -> dict[str, Tensor]:
        """The maps that `forward` segments a picture by, in a pass of their own.

        Args:
            item: an input of `forward`; "scale" has no effect.

        Returns:
            "gcs": T x h x w, the cosine of each entry of the vocabulary and each token; with LCS
            "lcs", the same of local similarities, NaN for entries that the head did not keep.
            Sliding windows are merged into the token grid of the canvas.
        """
        window = self.sliding_window
        vocabulary = _vocabulary_of(item, self.test_vocabulary)
        with autocast(self.device, self.autocast_dtype):
            text = self.text_encoder(vocabulary.entries)
        views = self._views(item, window, self.image_size)
        passes = list(self._passes(self.sem_seg_head.pseudo_masks, views, text))
        maps = {name: torch.cat([part[name] for part in passes]).float() for name in passes[0]}
        return {
            name: merge_token_maps(parts, *window) if window else parts[0]
            for name, parts in maps.items()
        }

    def _groups(self, inputs: Sequence[Mapping]) -> list[tuple[Vocabulary, float, list[int]]]:
        groups: dict = {}
        alone = self.sem_seg_head.joint_classes
        for index, item in enumerate(inputs):
            vocabulary = _vocabulary_of(item, self.test_vocabulary)
            key = (vocabulary, item.get("scale", 1.0), index if alone else None)
            groups.setdefault(key, []).append(index)
        return [(words, scale, indices) for (words, scale, _), indices in groups.items()]

    def _segment(
        self, inputs: Sequence[Mapping], vocabulary: Vocabulary, scale: float
    ) -> Iterator[Tensor]:
        """Scores K x h x w of each picture, at the model's own resolution."""
        window, image_size = self.sliding_window, self.image_size
        if window:
            window = (scaled(window[0], scale, least=window[1]), *window[1:])
        else:
            patch = self.backbone.size_divisibility
            image_size = scaled(image_size, scale, patch, (patch, patch))
        views = [self._views(item, window, image_size) for item in inputs]
        with autocast(self.device, self.autocast_dtype):
            text = self.text_encoder(vocabulary.entries)
        passes = self._passes(self.sem_seg_head, torch.cat(views), text)
        logits = (view for maps in passes for view in maps["logits"].float())
        for parts in views:
            yield reduce_entries(
                self._scores(islice(logits, len(parts)), window),
                vocabulary.entry_classes,
                len(vocabulary.class_names),
                vocabulary.background_threshold,
            )

    def _views(
        self, item: Mapping, window: tuple[Size, Size, Size] | None, image_size: Size
    ) -> Tensor:
        """What CLIP sees of a picture, V x 3 x image_size: its windows, or the picture whole."""
        image = self._normalise(item["image"])
        parts = cut_views(image, *window) if window else image[None]
        return F.interpolate(parts, image_size, mode="bilinear")

    def _passes(
        self, stage: Callable[..., dict[str, Tensor]], views: Tensor, text: Tensor
    ) -> Iterator[dict[str, Tensor]]:
        """What a stage of the head makes of all views, a few in memory at a time."""
        at_once = len(views) if self.sem_seg_head.joint_classes else self.max_views
        for part in views.split(at_once):
            with autocast(self.device, self.autocast_dtype):
                maps = stage(self.backbone(part), text)
            yield maps

    def _scores(self, views: Iterator[Tensor], window: tuple[Size, Size, Size] | None) -> Tensor:
        """Logits T x h x w of one picture's views -> T x H x W probabilities of the picture."""
        if window is None:
            return self._probabilities(next(views))
        resized = (F.interpolate(view[None], window[1], mode="bilinear")[0] for view in views)
        return merge_views((self._probabilities(view) for view in resized), *window)

    def _probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(0) if self.softmax_scores else logits.sigmoid()

    def _losses(self, inputs: Sequence[Mapping]) -> dict[str, Tensor]:
        vocabularies = {_vocabulary_of(item, self.train_vocabulary) for item in inputs}
        if len(vocabularies) > 1:
            raise ValueError(
                f"expected one vocabulary in a training batch, got {len(vocabularies)}; the "
                "datasets of DATASETS.TRAIN need the same stuff_classes."
            )
        images = [self._normalise(item["image"]) for item in inputs]
        images = ImageList.from_tensors(images).tensor
        images = F.interpolate(images, self.image_size, mode="bilinear")
        ignore = self.criterion.ignore_value
        targets = [item["sem_seg"].to(self.device).long() for item in inputs]
        targets = ImageList.from_tensors(targets, pad_value=ignore).tensor
        limit = min(self.sampled_classes or self.max_classes, self.max_classes)
        entries, targets = sample_classes(vocabularies.pop().classes, targets, limit, ignore)
        text = self.text_encoder(entries)
        outputs = self.sem_seg_head(self.backbone(images), text)
        return self.criterion(outputs, targets)

    def _normalise(self, image: Tensor) -> Tensor:
        return (image.to(self.device).float() - self.pixel_mean) / self.pixel_std


def _words_of(datasets: Sequence[str]) -> Vocabulary | None:
    # A demo or a converter builds the model where the training data is not known.
    if not datasets or datasets[0] not in DatasetCatalog:
        return None
    return Vocabulary.from_metadata(datasets[0])


def _vocabulary_of(item: Mapping, default: Vocabulary | None) -> Vocabulary:
    vocabulary = item.get("vocabulary", default)
    if vocabulary is None:
        raise ValueError(
            'expected words to look for, got none; put a "vocabulary" into the input, set '
            "MODEL.FGASEG.VOCABULARY, or name a dataset with stuff_classes in DATASETS."
        )
    return Vocabulary.coerce(vocabulary)
