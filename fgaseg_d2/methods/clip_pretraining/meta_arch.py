"""Contrastive training of CLIP on pictures with captions, for a CLIP of one's own.

Letters: B images, C joint embedding.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.layers.mosaic import check_mosaic, laid_out, taken_apart
from ...modeling.losses.contrastive import contrastive_loss
from ...modeling.samples import Sample, words_of
from ...modeling.segmentor import OpenVocabSegmentor
from ...modeling.towers.base import DENSE, GLOBAL
from ...vocabulary import Vocabulary
from ...vocabulary.dataset_words import CAPTIONED, LABELLED

# What covers less of a picture, or comes after so many, would hardly be mentioned in a caption.
_MENTIONED_SHARE = 0.02
_MENTIONED_CLASSES = 3


@META_ARCH_REGISTRY.register()
class CLIPPretraining(OpenVocabSegmentor):
    """CLIP's two towers under CLIP's contrastive loss.

    The towers have the names they have in every method, so that one starts from the checkpoint with
    MODEL.WEIGHTS and MODEL.WEIGHTS_PARTIAL. A training sample has a "caption", which is encoded as
    it is, or "sem_seg" with its "vocabulary", from which :func:`describe` makes one; that goes into
    the text tower's template, as class names do later.

    Args:
        ignore_value: label of pixels that belong to no class.
        match: what captions are compared with, "global" or "tokens"; see
            MODEL.CLIP_PRETRAINING.MATCH.
        sharpness: of the smooth maximum over tokens; see `pooled_similarity`.
        mosaic: pictures a side that the tower sees at once in training, for tokens.
        shared: of `OpenVocabSegmentor`.
    """

    sample_kinds = (LABELLED, CAPTIONED)

    @built_from_keys(**SHARED_KEYS)
    @configurable
    def __init__(
        self,
        *,
        ignore_value: int,
        match: str = "global",
        sharpness: float = 1.0,
        mosaic: int = 1,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        # CLS needs the parts of the last block that a dense reading leaves out.
        self.backbone.requires_grad_(True)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.ignore_value = ignore_value
        self.match, self.sharpness, self.mosaic = match, sharpness, mosaic

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        # CLIP trains as a whole, whatever MODEL.CLIP.FINETUNE says of a method on top.
        return cls.shared_arguments(cfg) | {
            "finetune": "scratch",
            "ignore_value": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            "match": cfg.MODEL.CLIP_PRETRAINING.MATCH,
            "sharpness": cfg.MODEL.CLIP_PRETRAINING.SHARPNESS,
            "mosaic": cfg.MODEL.CLIP_PRETRAINING.MOSAIC,
        }

    @property
    def scale(self) -> Tensor:
        """Of the cosines, within CLIP's own bound, which keeps the training stable."""
        return self.log_scale.clamp(max=math.log(100)).exp()

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: both directions, over the pictures of all processes."""
        check_mosaic(len(inputs), self.mosaic, "MODEL.CLIP_PRETRAINING.MOSAIC")
        pictures = self.embed_pictures([item["image"] for item in inputs], self.mosaic)
        texts = self._texts(inputs).float()
        return {"loss_contrastive": contrastive_loss(pictures, texts, self.scale, self.sharpness)}

    def embed_pictures(self, images: Sequence[Tensor], mosaic: int = 1) -> Tensor:
        """Embed pictures; `text_encoder.encode_sentences` does so with captions.

        Args:
            images: each 3 x H x W in 0..255, resized to MODEL.CLIP.IMAGE_SIZE.
            mosaic: pictures a side that the tower sees at once, where captions match tokens.

        Returns:
            What a caption is matched with: B x n x C, unit norm, float32, with n = 1 for the global
            embedding or the number of tokens.
        """
        views = torch.cat([self._prepare(image) for image in images])
        if self.match == "global":
            embeddings = self.backbone(views, outputs=(GLOBAL,))[GLOBAL][:, None]
        else:
            maps = self.backbone(laid_out(views, mosaic), outputs=(DENSE,))[DENSE]
            embeddings = taken_apart(maps, mosaic).flatten(2).transpose(1, 2)
        return F.normalize(embeddings, dim=-1).float()

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """Refuse: it segments nothing.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "CLIPPretraining segments nothing; evaluate its weights with "
            "MODEL.META_ARCHITECTURE DenseCLIP and MODEL.WEIGHTS_PARTIAL True"
        )

    def _texts(self, inputs: Sequence[Sample]) -> Tensor:
        """What is said of each picture, B x C, unit norm."""
        captioned = [i for i, item in enumerate(inputs) if "caption" in item]
        labelled = [i for i, item in enumerate(inputs) if "caption" not in item]
        parts = []
        if captioned:
            parts.append(
                self.text_encoder.encode_sentences([inputs[i]["caption"] for i in captioned])
            )
        if labelled:
            parts.append(self.text_encoder(tuple((self._described(inputs[i]),) for i in labelled)))
        return torch.cat(parts)[torch.tensor(captioned + labelled).argsort()]

    def _described(self, item: Sample) -> str:
        words = words_of(item, self.train_vocabulary)
        return describe(item["sem_seg"], words.class_names, self.ignore_value)

    def _prepare(self, image: Tensor) -> Tensor:
        return F.interpolate(self.normalize(image)[None], self.image_size, mode="bilinear")


def describe(label: Tensor, class_names: Sequence[str], ignore_value: int) -> str:
    """Write a caption: the largest classes in a picture, the largest first.

    Args:
        label: H x W class indices or the ignore value.
        class_names: by index.
        ignore_value: label of pixels that belong to no class.

    Returns:
        At most three, such as "red house, meadow and sky"; "nothing" for a picture without a class.
    """
    counts = torch.bincount(label[label != ignore_value].flatten(), minlength=len(class_names))
    order = counts.argsort(descending=True, stable=True)
    least = max(1, _MENTIONED_SHARE * label.numel())
    largest = order[:_MENTIONED_CLASSES].tolist()
    names = [class_names[index] for index in largest if counts[index] >= least]
    if len(names) < 2:
        return names[0] if names else "nothing"
    return f"{', '.join(names[:-1])} and {names[-1]}"
