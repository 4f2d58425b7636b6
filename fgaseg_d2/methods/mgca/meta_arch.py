"""MGCA end to end: a frozen CLIP, the gated decoder, its losses, and semantic units.

Letters: B pictures, V views, T text entries, C joint embedding, h w token grid, H W = 4 h 4 w.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.utils.events import get_event_storage, has_event_storage
from torch import Tensor, nn

from ...config.key_names import SHARED_KEYS, built_from_keys
from ...modeling.layers.copied_weights import copy_after_loading
from ...modeling.layers.mosaic import check_mosaic, laid_out, taken_apart
from ...modeling.layers.similarity import cosine_maps
from ...modeling.samples import Sample
from ...modeling.segmentor import OpenVocabSegmentor
from ...modeling.stages import Stage
from ...modeling.towers.base import DENSE
from ...vocabulary import Vocabulary
from ...vocabulary.dataset_words import CAPTIONED
from .criterion import MGCACriterion, Sampling
from .decoder import GatedDecoder
from .grounding import TextGrounding
from .units import SemanticUnits

_COPIES = ("decoder.norm.weight", "decoder.norm.bias", "decoder.projection")


@META_ARCH_REGISTRY.register()
class MGCA(OpenVocabSegmentor):
    """MGCA (arXiv 2403.03707); docs/MGCA.md says what is the paper's and what is reconstructed.

    It trains on pictures with captions alone, and CLIP stays as it is.

    Args:
        criterion: embeddings and texts -> named losses.
        units: pixels' scores -> those of pixels in units.
        grounding: cosines -> logits of masks.
        mosaic: pictures a side that are seen at once in training.
        shared: of `OpenVocabSegmentor`.

    Raises:
        ValueError: a tower without CLIP's last norm and projection.
    """

    sample_kinds = (CAPTIONED,)

    @built_from_keys(**SHARED_KEYS)
    @configurable
    def __init__(
        self,
        *,
        criterion: MGCACriterion,
        units: SemanticUnits,
        grounding: TextGrounding,
        mosaic: int = 1,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        visual: Any = getattr(self.backbone, "visual", None)
        pooled = getattr(visual, "attn_pool", None) is not None
        if pooled or not isinstance(getattr(visual, "proj", None), Tensor):
            raise ValueError(
                "expected `backbone` with the last norm and projection of open_clip's plain vision "
                f"transformer, got one of type {type(self.backbone).__name__} with others; choose "
                "a ViT-* model."
            )
        width, channels = visual.proj.shape
        self.decoder = GatedDecoder(width, channels)
        self.grounding, self.criterion, self.units = grounding, criterion, units
        self.mosaic = mosaic
        self.similarity = Stage(cosine_maps)
        self.begin_as_clip()
        copy_after_loading(
            self, source="backbone.visual.proj", copies=_COPIES, copy=type(self).begin_as_clip
        )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        """The arguments of the constructor, from a configuration."""
        mgca = cfg.MODEL.MGCA
        loss, units = mgca.LOSS, mgca.UNITS
        levels = ("object", "region", "pixel", "area", "smooth")
        # CLIP is frozen, whatever MODEL.CLIP.FINETUNE says of other methods.
        return cls.shared_arguments(cfg) | {
            "finetune": "frozen",
            "criterion": MGCACriterion(
                weights={level: loss[f"{level.upper()}_WEIGHT"] for level in levels},
                area=loss.AREA,
                sampling=Sampling(
                    regions=loss.REGIONS,
                    hard_regions=loss.HARD_REGIONS,
                    region_negatives=loss.REGION_NEGATIVES,
                    pixels=loss.PIXELS,
                    pixel_negatives=loss.PIXEL_NEGATIVES,
                    pairs_at_once=loss.PAIRS_AT_ONCE,
                ),
            ),
            "units": SemanticUnits(units.SIMILARITY, units.LEAST),
            "grounding": TextGrounding(mgca.MASK.SHARPNESS, mgca.MASK.OFFSET),
            "mosaic": mgca.MOSAIC,
        }

    def begin_as_clip(self) -> None:
        """Give the decoder CLIP's own last norm and projection."""
        visual: Any = self.backbone.visual
        self.decoder.copy_projection(visual.ln_post, visual.proj)

    def losses(self, inputs: Sequence[Sample]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: of pictures with captions, over the pairs of all processes."""
        check_mosaic(len(inputs), self.mosaic, "MODEL.MGCA.MOSAIC")
        views = laid_out(self.training_images(inputs), self.mosaic)
        maps = taken_apart(self.embed(views), self.mosaic)
        texts = self.text_encoder.encode_sentences([item["caption"] for item in inputs])
        iteration = get_event_storage().iter if has_event_storage() else 0
        # Cosines and masks of a picture differ by little, which half precision hardly resolves.
        with torch.autocast(maps.device.type, enabled=False):
            return self.criterion(maps, texts.float(), self.grounding, iteration)

    def embed(self, views: Tensor) -> Tensor:
        """Pictures B x 3 x 16h x 16w -> B x C x 4h x 4w, unit norm over C, float32."""
        read: list[Tensor] = []

        def keep(states: Tensor) -> Tensor:
            read.append(states)
            return states

        # It is given what comes before CLIP's own norm.
        self.backbone(views, outputs=(DENSE,), spread=keep)
        return self.decoder(read[0])

    def logits(self, views: Tensor, words: Vocabulary) -> Tensor:
        """See `OpenVocabSegmentor`."""
        maps = self.embed(views)
        with torch.autocast(maps.device.type, enabled=False):
            text = self.text_encoder(words.entries).float()
            cosines = self.similarity(text, maps)
            return self.grounding(self.units(maps, cosines, text))

    def stages(self) -> dict[str, nn.Module]:
        """See `OpenVocabSegmentor`."""
        own = {"decoder": self.decoder, "pixels": self.similarity, "units": self.units}
        return super().stages() | own

    def own_roles(self) -> dict[str, Iterable[nn.Parameter]]:
        """See `OpenVocabSegmentor`: "scalars" (gates, masks, temperature)."""
        own = nn.ModuleList((self.decoder, self.grounding, self.criterion))
        return {"scalars": [p for p in own.parameters() if not p.ndim]}

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """See `OpenVocabSegmentor`: masks of pixels and of units, V x T x H x W in 0..1."""
        return {
            name: self.grounding(torch.cat(outputs[name])).sigmoid() for name in ("pixels", "units")
        }
