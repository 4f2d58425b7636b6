"""FGASegHead: the four stages in a row.

Letters: B images, T classes, C joint embedding, D hidden channels, h w token grid.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import Tensor, nn

from ...modeling.layers.chunks import in_chunks
from ...modeling.layers.recording import largest
from ...modeling.layers.similarity import cosine_maps
from .aggregation import Aggregation, Fusion, MapEmbedding
from .decoder import Decoder, EarlyRejection, best_anywhere
from .losses import T2PBranch
from .p2tformer import P2Tformer
from .supplementation import LocalSimilarity

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
            raise ValueError(f"expected MODEL.FGASEG.MAX_CLASSES of 1 or more, got {max_classes}.")
        if keep_classes < 0:
            raise ValueError(
                f"expected MODEL.FGASEG.KEEP_CLASSES of 0 or more, got {keep_classes}."
            )
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

    @property
    def joint_classes(self) -> bool:
        """Whether the images of a batch share in inference which classes are dropped."""
        return self.early_rejection is not None or self.keep_classes > 0

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict:
        """The arguments of the constructor; `input_shape` is the backbone's output_shape()."""
        fga = cfg.MODEL.FGASEG
        embed_dim, dim = input_shape["dense"].channels, fga.HIDDEN_DIM
        early, late = (input_shape[f"guidance_{name}"].channels for name in ("early", "late"))
        return {
            "p2tformer": P2Tformer(
                embed_dim, fga.P2T.LAYERS, fga.P2T.HEADS, fga.P2T.GAMMA, fga.P2T.GAMMA_TRAINABLE
            ),
            "local_similarity": LocalSimilarity(embed_dim, fga.LCS.KERNEL_SIZE, fga.LCS.KERNEL_NORM)
            if fga.LCS.ENABLED
            else None,
            "aggregation": Aggregation(
                dim,
                embed_dim,
                fga.GUIDANCE_DIM,
                fga.AGGREGATION_LAYERS,
                fga.ATTENTION_HEADS,
                fga.WINDOW_SIZE,
                fga.MAX_CLASSES,
                fga.POOLING_TRAIN,
                fga.POOLING_TEST,
                fga.GRADIENT_CHECKPOINTING,
            ),
            "decoder": Decoder(
                dim,
                fga.DECODER_DIMS,
                fga.GUIDANCE_DIMS,
                fga.DECODER_GUIDANCE_DIMS,
                fga.FUSION,
                fga.LCS.ENABLED,
                fga.GRADIENT_CHECKPOINTING,
            ),
            "guidance_up": (
                nn.ConvTranspose2d(early, fga.GUIDANCE_DIMS[0], 2, stride=2),
                nn.ConvTranspose2d(late, fga.GUIDANCE_DIMS[1], 4, stride=4),
            ),
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
        similarity = cosine_maps(aligned, dense)
        kept = self._kept(similarity)
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

    def pseudo_masks(self, features: Mapping[str, Tensor], text: Tensor) -> dict[str, Tensor]:
        """The similarities that `forward` makes its class maps of, in inference; to look at.

        Args:
            features, text: those of `forward`.

        Returns:
            "gcs": B x T x h x w, cosines; with LCS on also "lcs": B x T x h x w, any real numbers,
            NaN for classes that `forward` does not keep and so has no local map of.
        """
        dense = features["dense"]
        aligned = self.p2tformer(text, dense)
        similarity = cosine_maps(aligned, dense)
        if self.local_similarity is None:
            return {"gcs": similarity}
        kept = self._kept(similarity)
        if kept is None:
            return {"gcs": similarity, "lcs": self.local_similarity(aligned, dense)}
        local = self.local_similarity(_take(aligned, kept), dense)
        return {"gcs": similarity, "lcs": _scatter(local, kept, len(text), math.nan)}

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
        points = _RejectionPoints(self, similarity.shape[1], x.device)
        x, local, text = points.visit(0, x, local, text)
        x = self.decoder.fuse(self.aggregation(x, text, dense), local)
        x, local, _ = points.visit(1, x, local, text)
        x = self.decoder.upsample(x, local, guidance[0])
        x, _, _ = points.visit(2, x)
        return points.outputs | {"logits": points.restore(self.decoder.classify(x, guidance[1]))}


class _RejectionPoints:
    """Carries through the three points which classes are left, or their auxiliary logits."""

    def __init__(self, head: FGASegHead, classes: int, device: torch.device) -> None:
        self.rejection = head.early_rejection
        self.training = head.training
        self.classes = classes
        self.left = torch.arange(classes, device=device)
        self.outputs: dict[str, Tensor] = {}

    def visit(self, point: int, x: Tensor, *others: Tensor | None) -> tuple[Tensor | None, ...]:
        """Tensors B x T x ... -> the same, of the classes that survive."""
        others += (None,) * (2 - len(others))
        if self.rejection is None:
            return x, *others
        if self.training:
            self.outputs[f"aux{point}"] = self.rejection.classify(point, x)
            return x, *others
        survivors = self.rejection.survivors(point, x)
        if survivors is None:
            return x, *others
        self.left = self.left[survivors]
        return tuple(None if y is None else y[:, survivors] for y in (x, *others))

    def restore(self, logits: Tensor) -> Tensor:
        """Logits of the classes left -> B x T x ... of all, -100 for those dropped."""
        if len(self.left) == self.classes and not torch.jit.is_tracing():
            return logits
        return _scatter(logits, self.left.expand(len(logits), -1), self.classes)


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
