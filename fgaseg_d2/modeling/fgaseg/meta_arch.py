"""FGASeg: a Detectron2 meta-architecture for open-vocabulary semantic segmentation.

images -> backbone -> features, vocabulary -> text encoder -> text; head(features, text) -> class
logits -> losses in training, scores at each picture's own size in inference.

Letters: B images, T text entries, C joint embedding, K classes of a vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone, build_sem_seg_head
from detectron2.structures import ImageList
from torch import Tensor, nn
from torch.nn import functional as F

from ...precision import amp_dtype
from ...vocabulary import Vocabulary
from ..clip.backbone import CLIPViT
from ..clip.finetune import set_trainable
from ..clip.text_encoder import CLIPTextEncoder
from ..inference.class_scores import reduce_entries
from ..inference.sliding_window import Size, cut_views, merge_views
from .losses import FGASegCriterion


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
        train_vocabulary, test_vocabulary: the words to use when an input brings none.
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
        train_vocabulary: Vocabulary | None,
        test_vocabulary: Vocabulary | None,
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
        _check_sizes(image_size, backbone.size_divisibility, sliding_window)
        self.backbone = backbone
        self.text_encoder = text_encoder
        self.sem_seg_head = sem_seg_head
        self.criterion = criterion
        set_trainable(backbone, text_encoder, finetune)
        self.train_vocabulary, self.test_vocabulary = train_vocabulary, test_vocabulary
        self.image_size = tuple(image_size)
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean)[:, None, None], False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std)[:, None, None], False)
        self.sampled_classes, self.max_classes = sampled_classes, max_classes
        if max_views < 1:
            raise ValueError(f"expected TEST.MAX_VIEWS of 1 or more, got {max_views}.")
        self.sliding_window, self.max_views = sliding_window, max_views
        self.autocast_dtype = autocast_dtype
        self.softmax_scores = softmax_scores

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """The arguments of the constructor, from a configuration."""
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
            ),
            "finetune": cfg.MODEL.CLIP.FINETUNE,
            "train_vocabulary": _default_vocabulary(fga.VOCABULARY, cfg.DATASETS.TRAIN),
            "test_vocabulary": _default_vocabulary(fga.VOCABULARY, cfg.DATASETS.TEST),
            "image_size": tuple(cfg.MODEL.CLIP.IMAGE_SIZE),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "sampled_classes": loss.SAMPLED_CLASSES,
            "max_classes": fga.MAX_CLASSES,
            "sliding_window": (tuple(window.CANVAS), tuple(window.SIZE), tuple(window.STRIDE))
            if window.ENABLED
            else None,
            "max_views": cfg.TEST.MAX_VIEWS,
            "autocast_dtype": amp_dtype(cfg.TEST.AMP_DTYPE, "TEST.AMP_DTYPE")
            if cfg.TEST.AMP_DTYPE
            else None,
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
                value; optional "height" and "width" of the result (default: the picture's), and
                "vocabulary", a `Vocabulary` or what `Vocabulary.coerce` takes.

        Returns:
            In training the weighted losses by name. In inference one dict a picture: "sem_seg",
            K x height x width, scores in 0..1 of the vocabulary's `class_names`.

        Raises:
            ValueError: there is no vocabulary, or a training batch with several.
        """
        if self.training:
            return self._losses(batched_inputs)
        # Pictures with the same words share a pass; the classes that early rejection leaves would
        # depend on the neighbours in the batch, so the fast variant takes pictures one by one.
        results: list[dict] = [{}] * len(batched_inputs)
        for vocabulary, indices in self._groups(batched_inputs):
            inputs = [batched_inputs[index] for index in indices]
            for index, scores in zip(indices, self._segment(inputs, vocabulary), strict=True):
                results[index] = {"sem_seg": scores}
        return results

    def _groups(self, inputs: Sequence[Mapping]) -> list[tuple[Vocabulary, list[int]]]:
        groups: dict = {}
        alone = self.sem_seg_head.joint_classes
        for index, item in enumerate(inputs):
            vocabulary = _vocabulary_of(item, self.test_vocabulary)
            groups.setdefault((vocabulary, index if alone else None), []).append(index)
        return [(vocabulary, indices) for (vocabulary, _), indices in groups.items()]

    def _segment(self, inputs: Sequence[Mapping], vocabulary: Vocabulary) -> Iterator[Tensor]:
        """Scores K x height x width of each picture."""
        views, counts = [], []
        for item in inputs:
            image = self._normalise(item["image"])
            parts = cut_views(image, *self.sliding_window) if self.sliding_window else image[None]
            views.append(self._resize(parts))
            counts.append(len(parts))
        with self._autocast():
            text = self.text_encoder(vocabulary.entries)
            logits = self._logits(torch.cat(views), text)
        for item, part in zip(inputs, logits.float().split(counts), strict=True):
            scores = self._scores(part)
            scores = reduce_entries(
                scores,
                vocabulary.entry_classes,
                len(vocabulary.class_names),
                vocabulary.background_threshold,
            )
            height, width = item["image"].shape[-2:]
            size = (item.get("height", height), item.get("width", width))
            yield F.interpolate(scores[None], size, mode="bilinear").squeeze(0)

    def _logits(self, views: Tensor, text: Tensor) -> Tensor:
        """Views B x 3 x H x W and text T x C -> B x T x 4h x 4w, a bounded number at a time."""
        at_once = len(views) if self.sem_seg_head.joint_classes else self.max_views
        parts = [
            self.sem_seg_head(self.backbone(part), text)["logits"] for part in views.split(at_once)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _scores(self, logits: Tensor) -> Tensor:
        """Logits of one picture's views -> T x H x W probabilities of the picture."""
        to_scores = (lambda x: x.softmax(1)) if self.softmax_scores else torch.sigmoid
        if self.sliding_window is None:
            return to_scores(logits).squeeze(0)
        logits = F.interpolate(logits, self.sliding_window[1], mode="bilinear")
        return merge_views(to_scores(logits), *self.sliding_window)

    def _losses(self, inputs: Sequence[Mapping]) -> dict[str, Tensor]:
        vocabularies = {_vocabulary_of(item, self.train_vocabulary) for item in inputs}
        if len(vocabularies) > 1:
            raise ValueError(
                f"expected one vocabulary in a training batch, got {len(vocabularies)}; the "
                "datasets of DATASETS.TRAIN need the same stuff_classes."
            )
        images = [self._normalise(item["image"]) for item in inputs]
        images = ImageList.from_tensors(images).tensor
        ignore = self.criterion.ignore_value
        targets = [item["sem_seg"].to(self.device).long() for item in inputs]
        targets = ImageList.from_tensors(targets, pad_value=ignore).tensor
        entries, targets = self._sample_classes(vocabularies.pop().classes, targets)
        text = self.text_encoder(entries)
        outputs = self.sem_seg_head(self.backbone(self._resize(images)), text)
        return self.criterion(outputs, targets)

    def _sample_classes(self, entries: tuple, targets: Tensor) -> tuple[tuple, Tensor]:
        """Leave the classes of the batch and random others, and renumber the targets."""
        total = len(entries)
        limit = min(self.sampled_classes or total, self.max_classes)
        if total <= limit:
            return entries, targets
        labels = targets[targets != self.criterion.ignore_value]
        present = torch.bincount(labels, minlength=total).cpu() > 0
        chosen = (torch.rand(total) + present).topk(limit).indices.sort().values
        number = torch.full((total,), self.criterion.ignore_value)
        number[chosen] = torch.arange(len(chosen))
        valid = targets != self.criterion.ignore_value
        renumbered = number.to(targets.device)[targets.clamp(max=total - 1)]
        targets = torch.where(valid, renumbered, targets)
        return tuple(entries[index] for index in chosen.tolist()), targets

    def _autocast(self) -> AbstractContextManager:
        """Autocast of the configuration; without one, whatever the caller has set stays."""
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def _normalise(self, image: Tensor) -> Tensor:
        return (image.to(self.device).float() - self.pixel_mean) / self.pixel_std

    def _resize(self, images: Tensor) -> Tensor:
        return F.interpolate(images, self.image_size, mode="bilinear")


def _check_sizes(
    image_size: Sequence[int], patch: int, sliding_window: tuple[Size, Size, Size] | None
) -> None:
    if len(image_size) != 2 or any(side < patch or side % patch for side in image_size):
        raise ValueError(
            "expected MODEL.CLIP.IMAGE_SIZE to be a height and a width in multiples of the patch "
            f"size {patch}, got {list(image_size)}."
        )
    if sliding_window is None:
        return
    canvas, size, stride = sliding_window
    if any(len(pair) != 2 for pair in sliding_window) or not all(
        1 <= step <= side <= whole for step, side, whole in zip(stride, size, canvas, strict=True)
    ):
        raise ValueError(
            "expected TEST.SLIDING_WINDOW with pairs 1 <= STRIDE <= SIZE <= CANVAS, got STRIDE "
            f"{list(stride)}, SIZE {list(size)}, CANVAS {list(canvas)}."
        )


def _default_vocabulary(words: str, datasets: Sequence[str]) -> Vocabulary | None:
    if words:
        return Vocabulary.coerce(words)
    from detectron2.data import DatasetCatalog

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
