"""DenseCLIP: CLIP alone as a segmentor, with or without dense training.

What dense CLIP knows by itself, without any method on top: a baseline, and the way to train a CLIP
of one's own densely before a method is trained on it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.losses.labels import seen_classes
from ...modeling.losses.pixel import CrossEntropy
from ...modeling.samples import Sample
from ...modeling.segmentor import OpenVocabSegmentor
from ...vocabulary import Vocabulary
from .head import DenseCLIPHead


@META_ARCH_REGISTRY.register()
class DenseCLIP(OpenVocabSegmentor):
    """The cosines of words and tokens as logits, a softmax over the words as scores.

    Args:
        sem_seg_head: features and text -> logits.
        loss: logits and labels -> the loss of dense training.
        shared: of `OpenVocabSegmentor`.
    """

    needs_weights = False

    @built_from_keys(**SHARED_KEYS)
    @configurable
    def __init__(self, *, sem_seg_head: DenseCLIPHead, loss: CrossEntropy, **shared: Any) -> None:
        super().__init__(**shared)
        self.sem_seg_head = sem_seg_head
        self.loss = loss

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        shared = cls.shared_arguments(cfg, "softmax")
        return shared | {
            "sem_seg_head": DenseCLIPHead(cfg, shared["backbone"].output_shape()),
            "loss": CrossEntropy(cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE),
        }

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: cross-entropy over the words of the batch."""
        words = self.training_words(inputs)
        ignore = self.loss.ignore_value
        labels = self.training_labels(inputs, ignore)
        entries, labels = seen_classes(words.classes, labels, self.unseen, ignore)
        logits = self._logits(self.training_images(inputs), entries)
        return {"loss_sem_seg": self.loss(logits, labels)}

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """See `OpenVocabSegmentor`."""
        return self._logits(views, words.entries)

    def _logits(self, views: Tensor, entries: Sequence[tuple[str, ...]]) -> Tensor:
        text = self.text_encoder(tuple(entries))
        return self.sem_seg_head(self.backbone(views, outputs=("dense",)), text)["logits"]

    def stages(self) -> dict[str, nn.Module]:
        """See `OpenVocabSegmentor`."""
        return super().stages() | self.sem_seg_head.stages()

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`."""
        return self.sem_seg_head.pseudo_masks(outputs)
