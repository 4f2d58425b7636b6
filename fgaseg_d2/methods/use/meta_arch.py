"""USE end to end: frozen towers, the head, segments and their texts.

Letters: B images, V views, M segments, N segments of a batch, T text entries, h w patch grid.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

from ...checkpoint.kept_tensors import KeptTensors
from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.inference.class_scores import reduce_entries, with_threshold
from ...modeling.inference.segment_scores import SegmentScores
from ...modeling.layers.similarity import cosine_maps
from ...modeling.precision import autocast
from ...modeling.proposals import Proposals, proposals_from_config, segments_of
from ...modeling.samples import Sample, words_of
from ...modeling.segmentor import OpenVocabSegmentor
from ...modeling.stages import Stage
from ...modeling.text.single_texts import SingleTexts
from ...modeling.towers.base import ImageTower
from ...vocabulary import Vocabulary
from ...vocabulary.dataset_words import LABELLED, SEGMENTED
from .head import USEHead
from .losses import SegmentTextLoss, text_keys
from .samples import drawn_segments, inherited, some_of, without_empty
from .towers import Features, FrozenTowers, built_towers, tower_names


@META_ARCH_REGISTRY.register()
class USE(OpenVocabSegmentor):
    """USE (arXiv 2406.05271); docs/USE.md says what is found and what is reconstructed.

    Args:
        other_towers: further frozen towers beside the backbone.
        towers: runs them all.
        sem_seg_head: features -> embeddings of patches and segments.
        loss: embeddings of segments and texts -> a scalar.
        whole: the head takes global embeddings.
        max_segments: of a picture, in training.
        pieces: that training takes besides, of what `proposals` finds in a picture.
        proposals: gives the segments of a picture, in inference, and the pieces.
        ignore_value: label of pixels without a class, of samples with label maps.
        shared: of `OpenVocabSegmentor`.
    """

    sample_kinds = (SEGMENTED, LABELLED)

    @built_from_keys(
        **SHARED_KEYS,
        name="MODEL.USE.TOWERS",
        pretrained="MODEL.USE.TOWERS",
        blocks="MODEL.USE.TOWERS",
    )
    @configurable
    def __init__(
        self,
        *,
        other_towers: Sequence[ImageTower] = (),
        towers: FrozenTowers,
        sem_seg_head: USEHead,
        loss: SegmentTextLoss,
        whole: bool = True,
        proposals: Proposals,
        max_segments: int = 64,
        pieces: int = 0,
        ignore_value: int = 255,
        **shared: Any,
    ) -> None:
        super().__init__(**shared, proposals=proposals)
        self.proposals: Proposals = proposals
        self.other_towers = nn.ModuleList(other_towers)
        for tower in other_towers:
            tower.train_only("frozen")
        self.towers, self.sem_seg_head, self.loss = towers, sem_seg_head, loss
        self.whole, self.max_segments, self.pieces = whole, max_segments, pieces
        self.ignore_value = ignore_value
        self.cosines = Stage(cosine_maps)
        self._texts = SingleTexts()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        use = cfg.MODEL.USE
        shared = cls.shared_arguments(cfg, "softmax")
        # A checkpoint brings all towers but the CLIP that a part file stands on.
        filled = bool(cfg.MODEL.WEIGHTS) and not cfg.MODEL.WEIGHTS_PARTIAL
        towers, levels, wholes, preprocessing = built_towers(
            use.TOWERS,
            shared["backbone"],
            count=use.LEVELS if use.LEVEL_MERGE else 1,
            last_alone=not use.LEVEL_MERGE,
            filled=filled,
            pixels=(shared["pixel_mean"], shared["pixel_std"]),
            order=-1 if cfg.INPUT.FORMAT == "BGR" else 1,
        )
        kept = None
        if use.FEATURE_CACHE:
            kept = KeptTensors(use.FEATURE_CACHE * 2**20, "features", "features of frozen towers")
        embed_dim = shared["backbone"].embed_dim
        head = USEHead(
            levels=levels, wholes=wholes if use.GLOBAL else {}, dim=use.DIM, embed_dim=embed_dim
        )
        return shared | {
            "backbone": towers[0],
            "other_towers": towers[1:],
            "towers": FrozenTowers(tower_names(use.TOWERS), preprocessing, kept),
            "sem_seg_head": head,
            "loss": SegmentTextLoss(use.LOSS, use.TEMPERATURE),
            "whole": use.GLOBAL,
            "proposals": proposals_from_config(cfg),
            "max_segments": use.MAX_SEGMENTS,
            "pieces": use.PIECES,
            "ignore_value": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
        }

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: segments find their texts among those of all processes."""
        images = torch.cat([self._view(item) for item in inputs])
        embeddings, texts, empty = [], [], 0
        for item, patches in zip(inputs, self._patches(images), strict=True):
            words = words_of(item, self.train_vocabulary) if "sem_seg" in item else None
            drawn, names = drawn_segments(item, words, self.unseen, self.ignore_value)
            # Before some are chosen, so that empty ones take no other's place.
            masks, names = without_empty(drawn, names)
            empty += len(drawn) - len(masks)
            chosen = [some_of(masks, names, self.max_segments)]
            if self.pieces:
                found = inherited(self.proposals(item).to(masks.device), masks, names)
                chosen.append(some_of(*found, self.pieces))
            for masks, names in chosen:
                embeddings.append(self.sem_seg_head.segments(patches, masks.to(self.device))[0])
                texts += names
        segments = torch.cat(embeddings)
        if has_event_storage():
            get_event_storage().put_scalar("segments/empty", empty)
            get_event_storage().put_scalar("segments/trained_on", len(segments))
        encoded = self._texts(self.text_encoder, texts) if texts else torch.zeros_like(segments)
        keys = text_keys(texts, self.device)
        return {"loss_segments": self.loss(segments, encoded.to(segments), keys)}

    def picture_scores(
        self, inputs: Sequence[Sample], words: Vocabulary, scale: float = 1.0
    ) -> Iterator[tuple[Tensor, SegmentScores | None]]:
        """See `OpenVocabSegmentor`: a pixel has the mean of its segments', or the dense reading."""
        text = self.text_encoder(words.entries).float()
        views = [self._view(item, scale) for item in inputs]
        patches: list[Tensor] = []
        for part in torch.cat(views).split(self.max_views):
            with autocast(self.device, self.autocast_dtype):
                patches.extend(self._patches(part))
        for item, one in zip(inputs, patches, strict=True):
            with autocast(self.device, self.autocast_dtype):
                dense = self._dense(one[None], text)[0]
                segments = self._segment_scores(item, one, text)
            painted = segments.painted(self.score_function(dense))
            yield (
                self.class_scores(painted, item, words),
                replace(segments, scores=_of_classes(segments.scores, words)),
            )

    def _segment_scores(self, item: Sample, patches: Tensor, text: Tensor) -> SegmentScores:
        """Scores of the segments of one picture, M x T."""
        masks = segments_of(item, self.proposals).to(self.device)
        embeddings, kept = self.sem_seg_head.segments(patches, masks)
        # bfloat16 tells cosines apart by 0.004, and the scale may be 100.
        with torch.autocast(self.device.type, enabled=False):
            logits = self.loss.scale * embeddings.float() @ text.float().T
        return SegmentScores(masks[kept], self.score_function(logits.T).T)

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """See `OpenVocabSegmentor`: the dense reading, each patch as if it were a segment."""
        return self._dense(self._patches(views), self.text_encoder(words.entries).float())

    def _dense(self, patches: Tensor, text: Tensor) -> Tensor:
        """Logits of each patch: B x h x w x D -> B x T x h x w."""
        dense = self.sem_seg_head.dense(patches)
        with torch.autocast(dense.device.type, enabled=False):
            return self.loss.scale * self.cosines(text, dense)

    def stages(self) -> dict[str, nn.Module]:
        """See `OpenVocabSegmentor`."""
        return super().stages() | {"dense": self.cosines}

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: "dense", the cosines of words and patches."""
        return {"dense": torch.cat(outputs["dense"])}

    def clip_parameters(self) -> Iterator[nn.Parameter]:
        """See `OpenVocabSegmentor`: of all towers."""
        yield from super().clip_parameters()
        yield from self.other_towers.parameters()

    def _patches(self, images: Tensor) -> Tensor:
        """Pictures B x 3 x H x W, normalised -> B x h x w x D."""
        features: Features = self.towers((self.backbone, *self.other_towers), images, self.whole)
        return self.sem_seg_head.patches(features)

    def _view(self, item: Sample, scale: float = 1.0) -> Tensor:
        """A picture as a whole, 1 x 3 x H x W, normalised, squashed as masks over it are."""
        return self._protocol_for(item, scale).views(self.normalize(item["image"]))


def _of_classes(scores: Tensor, words: Vocabulary) -> Tensor:
    """Scores of segments for entries, M x T -> for classes, M x K."""
    reduced = reduce_entries(scores.T[:, None], words.entry_classes, len(words.class_names))
    return with_threshold(reduced, words.background_threshold)[:, 0].T
