"""Stage 4, upsampling with guidance (paper, section III-D).

Letters: B images, T classes, D hidden channels, h w token grid.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ...modeling.layers.chunks import in_chunks
from ...modeling.layers.upsampling import DoubleConv, GuidedUpsample, Upsampling, to_maps
from ...modeling.stages import Stage
from .aggregation import Fusion


class Decoder(nn.Module):
    """Class maps at h x w -> logits at 4h x 4w, in two steps that the picture guides.

    The steps are stages of their own, because the fast variant drops classes between them.

    Args:
        dim: D.
        dims: channels at 2h and at 4h.
        guidance_in: channels of the guidance maps at 2h and at 4h.
        guidance_dims: channels they are projected to.
        fusion: how class maps and local maps meet, "cat" or "add".
        local: whether there are local maps.
        recompute: compute activations again in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        *,
        dim: int,
        dims: Sequence[int],
        guidance_in: Sequence[int],
        guidance_dims: Sequence[int],
        fusion: str,
        local: bool,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.in_chunks = partial(in_chunks, recompute=recompute)
        self.guidance = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.ReLU())
            for channels, out in zip(guidance_in, guidance_dims, strict=True)
        )
        self.up1 = GuidedUpsample(dim, dims[0], guidance_dims[0])
        self.up2 = GuidedUpsample(dims[0], dims[1], guidance_dims[1])
        if local:
            self.fuse1 = Fusion(dim, fusion)
            self.local_up = nn.Sequential(
                nn.ConvTranspose2d(dim, dims[0], 2, stride=2), DoubleConv(dims[0], dims[0])
            )
            self.fuse2 = Fusion(dims[0], fusion)
        self.logits = nn.Conv2d(dims[1], 1, 3, padding=1)
        self.fuse, self.upsample = Stage(self._fuse), Stage(self._upsample)
        self.classify = Stage(self._classify)

    def _fuse(self, x: Tensor, local: Tensor | None) -> Tensor:
        """Class maps and local maps, both B x T x h x w x D -> the same shape."""
        return x if local is None else self.in_chunks(self.fuse1, x, local)

    def _upsample(self, x: Tensor, local: Tensor | None, guidance: Tensor) -> Tensor:
        """Class maps B x T x h x w x D -> B x T x 2h x 2w x D2."""
        up = self.up1.guided_by(self.guidance[0](guidance))
        if local is None:
            return self.in_chunks(up, x)
        up_local, conv_local = self.local_up
        local_up = Upsampling(up_local, conv_local, guidance.shape[2:])
        return self.in_chunks(lambda x, local: self.fuse2(up(x), local_up(local)), x, local)

    def _classify(self, x: Tensor, guidance: Tensor) -> Tensor:
        """Class maps B x T x 2h x 2w x D2 -> logits B x T x 4h x 4w."""
        up = self.up2.guided_by(self.guidance[1](guidance))
        return self.in_chunks(lambda x: to_one(self.logits, up(x)), x)


def to_one(conv: nn.Module, x: Tensor) -> Tensor:
    """B x T x h x w x D -> B x T x h x w, by a convolution to one channel."""
    return conv(to_maps(x)).squeeze(1).unflatten(0, x.shape[:2])


def guidance_layers(
    shapes: Mapping[str, ShapeSpec], channels: Sequence[int]
) -> list[nn.ConvTranspose2d]:
    """What brings the backbone's guiding levels to 2h and 4h.

    Args:
        shapes: the backbone's `output_shape()`, with "guidance_early" and "guidance_late".
        channels: of the results.

    Raises:
        ValueError: a level is finer than that.
    """
    layers, dense = [], shapes["dense"]
    for name, times, out in zip(("early", "late"), (2, 4), channels, strict=True):
        level = shapes[f"guidance_{name}"]
        factor, rest = divmod(level.stride * times, dense.stride)
        if not factor or rest:
            raise ValueError(
                f"expected `levels` at most {times} times as fine as the dense map, whose stride "
                f"is {dense.stride}, got one of {level.stride}; choose a later stage."
            )
        layers.append(nn.ConvTranspose2d(level.channels, out, factor, stride=factor))
    return layers
