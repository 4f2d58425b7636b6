"""FGASegHead: the four stages in a row.

Letters: B images, T classes, C joint embedding, D hidden channels, h w token grid.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn

from ...config.key_names import built_from_keys, keys_of
from ...modeling.layers.chunks import in_chunks
from ...modeling.layers.recording import largest
from ...modeling.layers.similarity import cosine_maps
from ...modeling.stages import Stage
from .aggregation import Aggregation, Fusion, MapEmbedding
from .decoder import Decoder, guidance_layers
from .early_rejection import ClassMaps, EarlyRejection, best_anywhere
from .p2tformer import P2Tformer
from .supplementation import LocalSimilarity
from .t2p import T2PBranch

REJECTED = -100.0  # the logit of a class that was dropped: probability 0


@SEM_SEG_HEADS_REGISTRY.register()
class FGASegHead(nn.Module):
    """Dense CLIP features and text embeddings -> class logits.

    Args:
        p2tformer, local_similarity, aggregation, decoder: the stages; `local_similarity` is None
            with LCS off.
        guidance_up: two modules that enlarge CLIP's guidance maps to 2h and 4h.
        fusion: fuses the embedded global and local maps, ... x D each.
        hidden_dim: D.
        max_classes: with more classes each image goes on with its best ones.
        keep_classes: in inference only the classes go on that are among this many best, by the
            cosine, at some position of some image; 0 for all. Approximate, for any weights.
        t2p: the T2P branch, None to leave it out.
        early_rejection: the auxiliary heads of the fast variant, None for the plain one.
    """

    @built_from_keys(
        dim="MODEL.FGASEG.HIDDEN_DIM",
        heads="MODEL.FGASEG.ATTENTION_HEADS",
        window="MODEL.FGASEG.WINDOW_SIZE",
        kernel_size="MODEL.FGASEG.LCS.KERNEL_SIZE",
        mode="MODEL.FGASEG.FUSION",
        keep="MODEL.FGASEG.FAST.KEEP",
        max_classes="MODEL.FGASEG.MAX_CLASSES",
        keep_classes="MODEL.FGASEG.KEEP_CLASSES",
        levels="MODEL.CLIP.GUIDANCE_BLOCKS",
    )
    @configurable
    def __init__(
        self,
        *,
        p2tformer: P2Tformer,
        local_similarity: LocalSimilarity | None,
        aggregation: Aggregation,
        decoder: Decoder,
        guidance_up: Iterable[nn.Module],
        fusion: Fusion,
        hidden_dim: int,
        max_classes: int,
        keep_classes: int = 0,
        t2p: T2PBranch | None = None,
        early_rejection: EarlyRejection | None = None,
    ) -> None:
        super().__init__()
        if max_classes < 1:
            raise ValueError(f"expected `max_classes` of 1 or more, got {max_classes}.")
        if keep_classes < 0:
            raise ValueError(f"expected `keep_classes` of 0 or more, got {keep_classes}.")
        self.p2tformer = p2tformer
        self.local_similarity = local_similarity
        self.embed_global = MapEmbedding(hidden_dim)
        if local_similarity is not None:
            self.embed_local = MapEmbedding(hidden_dim)
            self.fusion = fusion
        self.aggregation = aggregation
        self.guidance_up = nn.ModuleList(guidance_up)
        self.decoder = decoder
        self.max_classes, self.keep_classes = max_classes, keep_classes
        self.t2p = t2p
        self.early_rejection = early_rejection
        self.similarity, self.selection = Stage(cosine_maps), Stage(self._kept)

    @property
    def joint_classes(self) -> bool:
        """Whether the images of a batch share in inference which classes are dropped."""
        return self.early_rejection is not None or self.keep_classes > 0

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict:
        """The arguments of the constructor; `input_shape` is the backbone's output_shape()."""
        fga = cfg.MODEL.FGASEG
        embed_dim, dim = input_shape["dense"].channels, fga.HIDDEN_DIM
        with keys_of(heads="MODEL.FGASEG.P2T.HEADS"):
            p2tformer = P2Tformer(
                embed_dim,
                layers=fga.P2T.LAYERS,
                heads=fga.P2T.HEADS,
                gamma=fga.P2T.GAMMA,
                gamma_trainable=fga.P2T.GAMMA_TRAINABLE,
            )
        local_similarity = None
        if fga.LCS.ENABLED:
            local_similarity = LocalSimilarity(
                embed_dim, kernel_size=fga.LCS.KERNEL_SIZE, kernel_norm=fga.LCS.KERNEL_NORM
            )
        aggregation = Aggregation(
            dim=dim,
            embed_dim=embed_dim,
            guidance_dim=fga.GUIDANCE_DIM,
            layers=fga.AGGREGATION_LAYERS,
            heads=fga.ATTENTION_HEADS,
            window=fga.WINDOW_SIZE,
            pad_to=fga.MAX_CLASSES,
            pooling_train=fga.POOLING_TRAIN,
            pooling_test=fga.POOLING_TEST,
            recompute=fga.GRADIENT_CHECKPOINTING,
        )
        decoder = Decoder(
            dim=dim,
            dims=fga.DECODER_DIMS,
            guidance_in=fga.GUIDANCE_DIMS,
            guidance_dims=fga.DECODER_GUIDANCE_DIMS,
            fusion=fga.FUSION,
            local=fga.LCS.ENABLED,
            recompute=fga.GRADIENT_CHECKPOINTING,
        )
        return {
            "p2tformer": p2tformer,
            "local_similarity": local_similarity,
            "aggregation": aggregation,
            "decoder": decoder,
            "guidance_up": guidance_layers(input_shape, fga.GUIDANCE_DIMS),
            "fusion": Fusion(dim, fga.FUSION),
            "hidden_dim": dim,
            "max_classes": fga.MAX_CLASSES,
            "keep_classes": fga.KEEP_CLASSES,
            "t2p": T2PBranch(embed_dim) if fga.LOSS.T2P_WEIGHT else None,
            "early_rejection": EarlyRejection((dim, dim, fga.DECODER_DIMS[0]), fga.FAST.KEEP)
            if fga.FAST.ENABLED
            else None,
        }

    def forward(self, features: Mapping[str, Tensor], text: Tensor) -> dict[str, Tensor]:
        """Segment.

        Args:
            features: the backbone's "dense" B x C x h x w, "guidance_early", "guidance_late".
            text: T x C, unit norm.

        Returns:
            "logits": B x T x 4h x 4w, -100 for classes that were dropped; in training also "t2p"
            (4h x 4w) and, in the fast variant, "aux0", "aux1" (h x w) and "aux2" (2h x 2w).
            Where `joint_classes` says so, classes are dropped for all images together: give it the
            views of one picture.
        """
        dense = features["dense"]
        aligned = self.p2tformer(text, dense)
        similarity = self.similarity(aligned, dense)
        kept = self.selection(similarity)
        if kept is not None:
            aligned, similarity = _take(aligned, kept), _take(similarity, kept)

        guidance = [
            up(features[f"guidance_{name}"])
            for up, name in zip(self.guidance_up, ("early", "late"), strict=True)
        ]
        outputs = self._propagate(similarity, aligned, dense, guidance)
        if self.training and self.t2p is not None:
            outputs["t2p"] = self.t2p(aligned, dense)
        if kept is not None:
            outputs = {name: _scatter(maps, kept, len(text)) for name, maps in outputs.items()}
        return outputs

    def stages(self) -> dict[str, nn.Module]:
        """The parts that a `StageRecorder` may note, in the order of the flow."""
        stages: dict[str, nn.Module] = {"p2tformer": self.p2tformer, "gcs": self.similarity}
        stages["classes"] = self.selection
        if self.local_similarity is not None:
            stages["lcs"] = self.local_similarity
        for index, (spatial, classes) in enumerate(
            zip(self.aggregation.spatial, self.aggregation.classes, strict=True)
        ):
            stages[f"aggregation {index}, space"] = spatial
            stages[f"aggregation {index}, classes"] = classes
        for step in ("fuse", "upsample", "classify"):
            stages[f"decoder, {step}"] = getattr(self.decoder, step)
        return stages | {"head": self}

    def pseudo_masks(self, outputs: Mapping[str, list[Any]]) -> dict[str, Tensor]:
        """What was noted of the stages -> the similarities that the class maps were made of.

        Returns:
            "gcs": V x T x h x w, cosines; with LCS on also "lcs": V x T x h x w, any real numbers,
            NaN for classes that an image did not go on with and so has no local map of.
        """
        masks = {"gcs": torch.cat(outputs["gcs"])}
        if self.local_similarity is not None:
            total = masks["gcs"].shape[1]
            masks["lcs"] = torch.cat(
                [
                    local if kept is None else _scatter(local, kept, total, math.nan)
                    for local, kept in zip(outputs["lcs"], outputs["classes"], strict=True)
                ]
            )
        return masks

    def _kept(self, similarity: Tensor) -> Tensor | None:
        """The classes that each image goes on with, B x K, ascending; None if all may stay."""
        if self.training or not self.keep_classes:
            return best_classes(similarity, self.max_classes)
        union = best_anywhere(similarity, self.keep_classes).expand(len(similarity), -1)
        if similarity.shape[1] <= self.max_classes:
            return union
        return union.gather(1, _best(_take(similarity, union), self.max_classes))

    def _propagate(
        self, similarity: Tensor, text: Tensor, dense: Tensor, guidance: list[Tensor]
    ) -> dict[str, Tensor]:
        """Class maps from the similarities to the logits, through the three points of rejection."""
        local = None
        x = in_chunks(self.embed_global, similarity)
        if self.local_similarity is not None:
            local = in_chunks(self.embed_local, self.local_similarity(text, dense))
            x = in_chunks(self.fusion, x, local)
        total = similarity.shape[1]
        aux: dict[str, Tensor] = {}
        state = ClassMaps(x, local, text, torch.arange(total, device=x.device))
        state = self._reject(0, state, aux)
        x = self.decoder.fuse(self.aggregation(state.maps, state.text, dense), state.local)
        state = self._reject(1, replace(state, maps=x, text=None), aux)
        x = self.decoder.upsample(state.maps, state.local, guidance[0])
        state = self._reject(2, replace(state, maps=x, local=None), aux)
        logits = self.decoder.classify(state.maps, guidance[1])
        if len(state.left) < total or torch.jit.is_tracing():
            logits = _scatter(logits, state.left.expand(len(logits), -1), total)
        return aux | {"logits": logits}

    def _reject(self, point: int, state: ClassMaps, aux: dict[str, Tensor]) -> ClassMaps:
        """At a point of rejection: classes go, or in training their logits are noted in `aux`."""
        if self.early_rejection is None:
            return state
        if self.training:
            aux[f"aux{point}"] = self.early_rejection.classify(point, state.maps)
            return state
        return state.keep(self.early_rejection.survivors(point, state.maps))


def best_classes(similarity: Tensor, limit: int) -> Tensor | None:
    """Each image's `limit` classes with the largest similarity anywhere; None if all may stay.

    Args:
        similarity: B x T x h x w.

    Returns:
        B x limit class numbers, ascending.
    """
    if similarity.shape[1] <= limit:
        return None
    return _best(similarity, limit)


def _best(similarity: Tensor, limit: int) -> Tensor:
    return largest(similarity.flatten(2).amax(2), limit).sort(dim=1).values


def _take(x: Tensor, classes: Tensor) -> Tensor:
    """B x T x ..., B x K -> B x K x ..."""
    return x[torch.arange(len(x), device=x.device)[:, None], classes]


def _scatter(x: Tensor, classes: Tensor, total: int, absent: float = REJECTED) -> Tensor:
    """B x K x h x w, B x K -> B x total x h x w, `absent` for the others."""
    out = x.new_full((len(x), total, *x.shape[2:]), absent)
    index = classes[:, :, None, None].expand_as(x)
    return out.scatter(1, index, x)
