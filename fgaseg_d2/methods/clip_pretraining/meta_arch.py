"""Contrastive training of CLIP on pictures with captions, for a CLIP of one's own.

Letters: B images, C joint embedding.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, build_backbone
from detectron2.utils import comm
from open_clip import ClipLoss
from torch import Tensor, nn
from torch.nn import functional as F

from ...config.checks import check_config
from ...modeling.text.encoder import CLIPTextEncoder
from ...modeling.towers import normalisation
from ...modeling.towers.clip_vit import CLIPViT

# What covers less of a picture, or comes after so many, would hardly be mentioned in a caption.
_MENTIONED_SHARE = 0.02
_MENTIONED_CLASSES = 3


@META_ARCH_REGISTRY.register()
class CLIPPretraining(nn.Module):
    """CLIP's two towers under the contrastive loss of open_clip.

    The towers have the names they have in FGASeg, so that FGASeg starts from the checkpoint with
    MODEL.WEIGHTS and MODEL.WEIGHTS_PARTIAL.

    Args:
        backbone: the image tower.
        text_encoder: the text tower; captions go into its template, as class names do later.
        image_size: height and width that pictures are resized to.
        pixel_mean, pixel_std: of the three channels, in the order of the input, range 0..255.
        ignore_value: label of pixels that belong to no class.
    """

    @configurable
    def __init__(
        self,
        *,
        backbone: CLIPViT,
        text_encoder: CLIPTextEncoder,
        image_size: tuple[int, int],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        ignore_value: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.text_encoder = text_encoder
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.image_size = tuple(image_size)
        self.ignore_value = ignore_value
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean)[:, None, None], False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std)[:, None, None], False)
        self.loss = ClipLoss(
            local_loss=True,
            gather_with_grad=True,
            cache_labels=True,
            rank=comm.get_rank(),
            world_size=comm.get_world_size(),
        )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """The arguments of the constructor, from a configuration."""
        check_config(cfg)
        return {
            "backbone": build_backbone(cfg),
            "text_encoder": CLIPTextEncoder(cfg),
            "image_size": tuple(cfg.MODEL.CLIP.IMAGE_SIZE),
            **normalisation.from_config(cfg),
            "ignore_value": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
        }

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    def clip_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the two towers."""
        yield from self.backbone.parameters()
        yield from self.text_encoder.parameters()

    def forward(self, batched_inputs: Sequence[Mapping]) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            batched_inputs: one dict a picture: "image" 3 x H x W, range 0..255; and "caption", or
                "sem_seg" H x W with its "vocabulary", from which :func:`describe` makes one.

        Returns:
            The loss by name.

        Raises:
            ValueError: not in training.
        """
        if not self.training:
            raise ValueError(
                "CLIPPretraining segments nothing; evaluate its weights with "
                "MODEL.META_ARCHITECTURE FGASeg, MODEL.SEM_SEG_HEAD.NAME DenseCLIPHead and "
                "MODEL.WEIGHTS_PARTIAL True"
            )
        images = torch.cat([self._prepare(item["image"]) for item in batched_inputs])
        captions = [
            item.get("caption")
            or describe(item["sem_seg"], item["vocabulary"].class_names, self.ignore_value)
            for item in batched_inputs
        ]
        pictures = F.normalize(self.backbone.embed_whole(images), dim=-1)
        texts = self.text_encoder(tuple((caption,) for caption in captions))
        # CLIP's own bound on the temperature keeps the training stable.
        scale = self.log_scale.clamp(max=math.log(100)).exp()
        return {"loss_contrastive": self.loss(pictures.float(), texts.float(), scale)}

    def _prepare(self, image: Tensor) -> Tensor:
        image = (image.to(self.device).float() - self.pixel_mean) / self.pixel_std
        return F.interpolate(image[None], self.image_size, mode="bilinear")


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
    order = order[:_MENTIONED_CLASSES].tolist()
    names = [class_names[index] for index in order if counts[index] >= least]
    if len(names) < 2:
        return names[0] if names else "nothing"
    return f"{', '.join(names[:-1])} and {names[-1]}"
