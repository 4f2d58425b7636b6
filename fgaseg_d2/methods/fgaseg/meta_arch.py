"""FGASeg end to end: the head on the towers, and its losses.

Letters: B images, V views, T text entries.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, build_sem_seg_head
from torch import Tensor, nn

from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.losses.labels import sample_classes, seen_classes
from ...modeling.samples import Sample
from ...modeling.segmentor import OpenVocabSegmentor
from ...vocabulary import Vocabulary
from .losses import FGASegCriterion


@META_ARCH_REGISTRY.register()
class FGASeg(OpenVocabSegmentor):
    """FGAseg (arXiv 2501.00877), or another head of SEM_SEG_HEADS_REGISTRY on the same towers.

    Args:
        sem_seg_head: features and text -> logits; its `joint_classes` says whether the images of a
            batch share in inference which classes are dropped.
        criterion: logits and targets -> named losses.
        sampled_classes: see MODEL.FGASEG.LOSS.SAMPLED_CLASSES.
        max_classes: classes that the head can tell apart in one training step.
        shared: of `OpenVocabSegmentor`.
    """

    # Any head of the registry.
    sem_seg_head: Any

    @built_from_keys(
        **SHARED_KEYS,
        main="MODEL.FGASEG.LOSS.MAIN",
        t2p="MODEL.FGASEG.LOSS.T2P",
        aux_weights="MODEL.FGASEG.LOSS.AUX_WEIGHTS",
        class_balance="MODEL.FGASEG.LOSS.CLASS_BALANCE",
    )
    @configurable
    def __init__(
        self,
        *,
        sem_seg_head: nn.Module,
        criterion: FGASegCriterion,
        sampled_classes: int = 0,
        max_classes: int = 256,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.sem_seg_head = sem_seg_head
        self.criterion = criterion
        self.joint_views = getattr(sem_seg_head, "joint_classes", False)
        self.needs_weights = getattr(sem_seg_head, "needs_weights", True)
        self.sampled_classes, self.max_classes = sampled_classes, max_classes

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        loss = cfg.MODEL.FGASEG.LOSS
        shared = cls.shared_arguments(cfg, "softmax" if loss.MAIN == "ce" else "sigmoid")
        criterion = FGASegCriterion(
            main=loss.MAIN,
            t2p=loss.T2P,
            t2p_weight=loss.T2P_WEIGHT,
            aux_weights=loss.AUX_WEIGHTS,
            ignore_value=cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            ignored_as_negative=loss.IGNORED_AS_NEGATIVE,
            class_balance=loss.CLASS_BALANCE,
        )
        return shared | {
            "sem_seg_head": build_sem_seg_head(cfg, shared["backbone"].output_shape()),
            "criterion": criterion,
            "sampled_classes": loss.SAMPLED_CLASSES,
            "max_classes": cfg.MODEL.FGASEG.MAX_CLASSES,
        }

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`; the classes of the batch and random others compete."""
        words = self.training_words(inputs)
        images = self.training_images(inputs)
        ignore = self.criterion.ignore_value
        targets = self.training_labels(inputs, ignore)
        limit = min(self.sampled_classes or self.max_classes, self.max_classes)
        entries, targets = seen_classes(words.classes, targets, self.unseen, ignore)
        entries, targets = sample_classes(entries, targets, limit, ignore)
        outputs = self.sem_seg_head(self.backbone(images), self.text_encoder(tuple(entries)))
        return self.criterion(outputs, targets)

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """See `OpenVocabSegmentor`."""
        text = self.text_encoder(words.entries)
        return self.sem_seg_head(self.backbone(views), text)["logits"]

    def stages(self) -> dict[str, nn.Module]:
        """See `OpenVocabSegmentor`."""
        return super().stages() | self.sem_seg_head.stages()

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`."""
        return self.sem_seg_head.pseudo_masks(outputs)
