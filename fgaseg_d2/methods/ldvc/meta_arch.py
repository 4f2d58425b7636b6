"""LDVC end to end: prompted towers, the head, its losses, and zero-shot training.

Letters: B images, V views, N classes of a training step, T text entries, H W size of the labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn
from torch.nn import functional as F

from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.losses.labels import sample_classes, seen_classes
from ...modeling.routes import Routes
from ...modeling.samples import Sample
from ...modeling.seen_classes import SeenClasses
from ...modeling.segmentor import OpenVocabSegmentor
from ...modeling.towers.base import DENSE, GLOBAL
from ...vocabulary import Vocabulary
from .head import LDVCHead
from .losses import LDVCCriterion
from .prompts import VisionPrompts


@META_ARCH_REGISTRY.register()
class LDVC(OpenVocabSegmentor):
    """LDVC (arXiv 2403.08426); docs/LDVC.md says what is the paper's and what is reconstructed.

    Args:
        sem_seg_head: features and text -> masks of every layer.
        criterion: masks and targets -> named losses.
        prompts: which learned prompts there are, "vision", "language", "both" or "none".
        prompt_length: vision tokens a block.
        prompt_dropout: of them, in training.
        drop_path: stochastic depth of the image tower, in training.
        seen_shift: off the scores of the classes seen in training, before the argmax.
        transductive_from: the iteration from which unlabelled pixels take the best unseen class;
            None for never.
        sampled_classes: see MODEL.LDVC.LOSS.SAMPLED_CLASSES.
        shared: of `OpenVocabSegmentor`.

    Raises:
        ValueError: learned text prompts that text tower or template do not suit.
    """

    @built_from_keys(**SHARED_KEYS)
    @configurable
    def __init__(
        self,
        *,
        sem_seg_head: LDVCHead,
        criterion: LDVCCriterion,
        prompts: str = "both",
        prompt_length: int = 10,
        prompt_dropout: float = 0.1,
        drop_path: float = 0.1,
        seen_shift: float = 0.1,
        transductive_from: int | None = None,
        sampled_classes: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.sem_seg_head, self.criterion = sem_seg_head, criterion
        self.has_routes = sem_seg_head.has_routes
        blocks, width = self.backbone.token_shape
        self.vision_norm = nn.LayerNorm(width, eps=1e-6)
        self.vision_prompts = None
        if prompts in ("vision", "both"):
            self.vision_prompts = VisionPrompts(
                blocks=blocks,
                length=prompt_length,
                width=width,
                patch_size=self.backbone.size_divisibility,
                dropout=prompt_dropout,
            )
        if prompts in ("language", "both"):
            self.text_encoder.learn_prompts()
        self.backbone.drop_paths(drop_path)
        self.transductive_from = transductive_from
        self.sampled_classes = sampled_classes
        self.seen = SeenClasses(None, seen_shift)
        if self.train_vocabulary is not None:
            self.seen.add(self._seen_of(self.train_vocabulary))

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        shared, ldvc = cls.shared_arguments(cfg), cfg.MODEL.LDVC
        transductive = ldvc.TRAINING == "transductive"
        return shared | {
            "sem_seg_head": LDVCHead(cfg, shared["backbone"].output_shape()),
            "criterion": LDVCCriterion(
                ignore_value=cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
                focal_weight=ldvc.LOSS.FOCAL_WEIGHT,
                dice_weight=ldvc.LOSS.DICE_WEIGHT,
                ignored_as_negative=ldvc.LOSS.IGNORED_AS_NEGATIVE,
            ),
            "prompts": ldvc.PROMPTS,
            "prompt_length": ldvc.PROMPT_LENGTH,
            "prompt_dropout": ldvc.DROPOUT,
            "drop_path": ldvc.DROP_PATH,
            "seen_shift": 0.0 if transductive else ldvc.SEEN_SHIFT,
            "transductive_from": cfg.SOLVER.MAX_ITER // 2 if transductive else None,
            "sampled_classes": ldvc.LOSS.SAMPLED_CLASSES,
        }

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`; unseen classes neither compete nor count."""
        words = self.training_words(inputs)
        images = self.training_images(inputs)
        ignore = self.criterion.ignore_value
        labels = self.training_labels(inputs, ignore)
        if self._labels_itself():
            self.seen.add(self._seen_of(words))
            masks = self._masks(images, words.classes)
            return self.criterion(masks, self._filled(labels, masks[-1].detach(), words, inputs))
        entries, labels = seen_classes(words.classes, labels, self.unseen, ignore)
        self.seen.add(entries)
        entries, labels = sample_classes(
            entries, labels, self.sampled_classes or len(entries), ignore
        )
        return self.criterion(self._masks(images, entries), labels)

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """See `OpenVocabSegmentor`."""
        return self._masks(views, words.entries)[-1]

    def ranked(self, scores: Tensor, words: Vocabulary) -> Tensor:
        """See `OpenVocabSegmentor`: less for classes that training showed."""
        return self.seen.shifted(scores, words)

    def stages(self) -> dict[str, nn.Module]:
        """See `OpenVocabSegmentor`."""
        return super().stages() | self.sem_seg_head.stages()

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: the masks of each layer, 0..1."""
        return self.sem_seg_head.pseudo_masks(outputs)

    def routes(self, outputs: Mapping[str, list[Any]]) -> dict[str, Routes]:
        """See `OpenVocabSegmentor`."""
        return self.sem_seg_head.routes(outputs)

    def own_roles(self) -> dict[str, Iterable[nn.Parameter]]:
        """See `OpenVocabSegmentor`: "prompts", some of which stand within the text tower."""
        prompts = [] if self.text_encoder.block_tokens is None else [self.text_encoder.block_tokens]
        if self.vision_prompts is not None:
            prompts += self.vision_prompts.parameters()
        return {"prompts": prompts}

    def _masks(self, images: Tensor, entries: Sequence[tuple[str, ...]]) -> list[Tensor]:
        """Mask logits of each layer, B x N x h x w."""
        prompts = None if self.vision_prompts is None else self.vision_prompts(len(images))
        features = self.backbone(
            images, outputs=(DENSE, GLOBAL), prompts=prompts, final=self.vision_norm
        )
        return self.sem_seg_head(features, self.text_encoder(tuple(entries)))["masks"]

    def _seen_of(self, words: Vocabulary) -> list[tuple[str, ...]]:
        return [names for names in words.classes if names[0] not in self.unseen]

    def _labels_itself(self) -> bool:
        """Whether the schedule has come to where unlabelled pixels take unseen classes."""
        if self.transductive_from is None or not has_event_storage():
            return False
        return get_event_storage().iter >= self.transductive_from

    def _filled(
        self, labels: Tensor, logits: Tensor, words: Vocabulary, inputs: Sequence[Sample]
    ) -> Tensor:
        """Labels B x H x W, where unlabelled pixels have become their best unseen class."""
        unseen = [i for i, names in enumerate(words.classes) if names[0] in self.unseen]
        if not unseen:
            return labels
        chosen = torch.tensor(unseen, device=labels.device)
        maps = F.interpolate(logits[:, chosen], labels.shape[1:], mode="bilinear")
        best = chosen[maps.argmax(1)]
        unlabelled = torch.zeros_like(labels, dtype=torch.bool)
        for item, mask in zip(inputs, unlabelled, strict=True):
            height, width = item["sem_seg"].shape
            own = item.get("unlabelled", item["sem_seg"] == self.criterion.ignore_value)
            mask[:height, :width] = own.to(mask.device)
        return torch.where(unlabelled & (labels == self.criterion.ignore_value), best, labels)
