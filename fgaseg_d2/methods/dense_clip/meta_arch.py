"""DenseCLIP: CLIP alone as a segmentor, with or without dense training.

What dense CLIP knows by itself, without any method on top: a baseline, and the way to train a CLIP
of one's own densely before a method is trained on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn

from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.losses.labels import seen_classes
from ...modeling.losses.pixel import CrossEntropy
from ...modeling.samples import Sample
from ...modeling.segmentor import OpenVocabSegmentor
from ...modeling.towers.base import DENSE
from ...modeling.towers.loading import needed_pretrained
from ...modeling.towers.vit import ViTTower
from ...vocabulary import Vocabulary
from .head import DenseCLIPHead
from .proxy import ProxyAttention, averaged


@META_ARCH_REGISTRY.register()
class DenseCLIP(OpenVocabSegmentor):
    """The cosines of words and tokens as logits, a softmax over the words as scores.

    Args:
        sem_seg_head: features and text -> logits.
        loss: logits and labels -> the loss of dense training.
        proxy: averages what the backbone, with the reading proxyclip, gives; None for its own map.
        shared: of `OpenVocabSegmentor`.

    Raises:
        ValueError: a proxy with a backbone that is no vision transformer.
    """

    needs_weights = False

    @built_from_keys(
        **SHARED_KEYS,
        name="MODEL.DENSE_CLIP.PROXY.NAME",
        pretrained="MODEL.DENSE_CLIP.PROXY.PRETRAINED",
        backbone="MODEL.CLIP.NAME",
    )
    @configurable
    def __init__(
        self,
        *,
        sem_seg_head: DenseCLIPHead,
        loss: CrossEntropy,
        proxy: ProxyAttention | None = None,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        if proxy is not None and not isinstance(self.backbone, ViTTower):
            raise ValueError(
                "expected `backbone` to be a vision transformer, which a proxy can average the "
                f"values of, got {type(self.backbone).__name__}; choose such as ViT-B-16."
            )
        self.sem_seg_head = sem_seg_head
        self.loss = loss
        self.proxy = proxy

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        shared = cls.shared_arguments(cfg, "softmax")
        name, pretrained = (cfg.MODEL.DENSE_CLIP.PROXY[key] for key in ("NAME", "PRETRAINED"))
        proxy = None
        if name:
            proxy = ProxyAttention.of_name(
                name,
                pretrained,
                loaded=needed_pretrained(pretrained, cfg.MODEL.WEIGHTS, cfg.MODEL.WEIGHTS_PARTIAL),
                pixels=(shared["pixel_mean"], shared["pixel_std"]),
                order=-1 if cfg.INPUT.FORMAT == "BGR" else 1,
            )
        return shared | {
            "sem_seg_head": DenseCLIPHead(cfg, shared["backbone"].output_shape()),
            "loss": CrossEntropy(cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE),
            "proxy": proxy,
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
        return self.sem_seg_head(self._features(views), text)["logits"]

    def _features(self, views: Tensor) -> dict[str, Tensor]:
        if self.proxy is None:
            return self.backbone(views, outputs=(DENSE,))
        spread = partial(averaged, weights=self.proxy(views))
        return self.backbone(views, outputs=(DENSE,), spread=spread)

    def clip_parameters(self) -> Iterator[nn.Parameter]:
        """See `OpenVocabSegmentor`: the proxy's as well."""
        yield from super().clip_parameters()
        if self.proxy is not None:
            yield from self.proxy.parameters()

    def stages(self) -> dict[str, nn.Module]:
        """See `OpenVocabSegmentor`."""
        return super().stages() | self.sem_seg_head.stages()

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`."""
        return self.sem_seg_head.pseudo_masks(outputs)
